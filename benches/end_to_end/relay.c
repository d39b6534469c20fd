/* The floor: a relay with two sockets a client and no idea of HTTP.
 *
 * Usage: relay LISTEN_PORT UPSTREAM_PORT   (both on 127.0.0.1)
 *
 * A frame costs one recv and one send, and its share of one epoll_wait. Both sockets are registered
 * once, edge-triggered: a short read says that there is no more, and the next edge that there is.
 * What a slow receiver does not take is kept for it, and its sender is not read meanwhile.
 *
 * It is what a proxy in user space cannot be below, and no proxy: each client has an upstream
 * connection of its own, opened with a blocking connect, and one side's end ends both. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SOCKETS = 65536, FRAME = 16384, EVENTS = 1024, READS = 16 };

/* One direction, named by the socket it reads: `kept` bytes wait for the peer to take them. */
struct flow {
    int peer;
    int queued;
    char *kept;
    size_t kept_from, kept_to;
};

static struct flow flows[SOCKETS];
static char frame[FRAME];
/* Sockets that had more to read when their turn was over. */
static int again[SOCKETS], again_count;
static int closing[SOCKETS], closing_count;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void end(int fd)
{
    int peer = flows[fd].peer;
    if (peer < 0)
        return;
    flows[fd].peer = flows[peer].peer = -1;
    /* Closed when the turn is over: until then no event can mean another socket of that number. */
    closing[closing_count++] = fd;
    closing[closing_count++] = peer;
}

/* Gives kept bytes to the peer. Whether none are left. */
static int flush(struct flow *flow)
{
    while (flow->kept_from < flow->kept_to) {
        ssize_t sent = send(flow->peer, flow->kept + flow->kept_from,
                            flow->kept_to - flow->kept_from, MSG_NOSIGNAL);
        if (sent < 0)
            return 0;
        flow->kept_from += sent;
    }
    free(flow->kept);
    flow->kept = NULL;
    flow->kept_from = flow->kept_to = 0;
    return 1;
}

static void pump(int fd)
{
    struct flow *flow = &flows[fd];
    for (int reads = 0; reads < READS; reads++) {
        if (flow->peer < 0 || (flow->kept && !flush(flow)))
            return;
        ssize_t got = recv(fd, frame, FRAME, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN)) {
            end(fd);
            return;
        }
        if (got < 0)
            return;
        ssize_t sent = send(flow->peer, frame, got, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN) {
            end(fd);
            return;
        }
        if (sent < got) {
            size_t gone = sent < 0 ? 0 : sent;
            flow->kept = malloc(got - gone);
            if (!flow->kept)
                fail("malloc");
            memcpy(flow->kept, frame + gone, got - gone);
            flow->kept_to = got - gone;
            return;
        }
        if (got < FRAME)
            return;
    }
    if (!flow->queued) {
        flow->queued = 1;
        again[again_count++] = fd;
    }
}

static void watch(int poller, int fd, int peer)
{
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    flows[fd] = (struct flow){ .peer = peer };
    struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.fd = fd };
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event))
        fail("epoll_ctl");
}

static void welcome(int poller, int listener, const struct sockaddr_in *upstream_address)
{
    int client;
    while ((client = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        int upstream = socket(AF_INET, SOCK_STREAM, 0);
        if (upstream < 0 || upstream >= SOCKETS || client >= SOCKETS)
            fail("socket");
        if (connect(upstream, (const struct sockaddr *)upstream_address, sizeof *upstream_address))
            fail("connect");
        if (fcntl(upstream, F_SETFL, O_NONBLOCK))
            fail("fcntl");
        watch(poller, client, upstream);
        watch(poller, upstream, client);
    }
}

int main(int count, char **arguments)
{
    if (count != 3) {
        fprintf(stderr, "usage: relay LISTEN_PORT UPSTREAM_PORT\n");
        return 2;
    }
    struct sockaddr_in here = { .sin_family = AF_INET,
                                .sin_port = htons(atoi(arguments[1])),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in upstream = here;
    upstream.sin_port = htons(atoi(arguments[2]));
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 4096))
        fail("listen");
    int poller = epoll_create1(0);
    struct epoll_event event = { .events = EPOLLIN, .data.fd = listener }, events[EVENTS];
    if (poller < 0 || epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event))
        fail("epoll");
    for (;;) {
        int ready = epoll_wait(poller, events, EVENTS, again_count ? 0 : -1);
        int rest = again_count;
        again_count = 0;
        for (int i = 0; i < rest; i++) {
            flows[again[i]].queued = 0;
            pump(again[i]);
        }
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                welcome(poller, listener, &upstream);
                continue;
            }
            int peer = flows[fd].peer;
            /* Room for what the other side has sent. */
            if (peer >= 0 && flows[peer].kept && (events[i].events & EPOLLOUT))
                pump(peer);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                pump(fd);
        }
        for (int i = 0; i < closing_count; i++) {
            free(flows[closing[i]].kept);
            flows[closing[i]].kept = NULL;
            close(closing[i]);
        }
        closing_count = 0;
    }
}
