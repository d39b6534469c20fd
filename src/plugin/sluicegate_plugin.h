/*
 * sluicegate_plugin.h: what a plugin of Sluicegate is made of. The whole interface is this file.
 *
 * A plugin is a shared object with one symbol, sluicegate_plugin(), which returns a table of hooks. A
 * hook that is NULL is never called and costs nothing.
 *
 * One rule says who owns a buffer: bytes that are given in a call, either way, belong to whoever gives
 * them and are valid until that call returns. Whoever wants to keep them copies them.
 *
 * Threads: hooks are called on any thread of the gateway, several at a time. The hooks of one exchange
 * are called one after another, and from on_request to on_end on one thread. A hook must return at once:
 * all streams of its thread wait for it.
 *
 * A hook returns a verdict (SG_OK and its sisters) or an error code of its own, which is negative. A verdict
 * that a hook does not have counts as an error. An error ends the exchange with a 502, or is passed over,
 * as `fail` in the configuration says.
 *
 * docs/plugins.md tells when each hook is called, with examples.
 */
#ifndef SLUICEGATE_PLUGIN_H
#define SLUICEGATE_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A table of another version is refused. */
#define SG_VERSION 1u

/* Bytes, not terminated by anything. `data` may be NULL where `length` is 0. */
typedef struct sg_bytes {
    const uint8_t *data;
    size_t length;
} sg_bytes;

/* Bytes of a literal, for an initialiser and for an argument. */
#define SG_TEXT(text) { (const uint8_t *)(text), sizeof(text) - 1 }
#define SG_BYTES(text) ((sg_bytes)SG_TEXT(text))

/* A field of a head. */
typedef struct sg_field {
    sg_bytes name;
    sg_bytes value;
} sg_field;

/* Verdicts. */
#define SG_OK 0      /* Go on: as it came, but for the changes that were asked for in the call. */
#define SG_REPLACE 1 /* on_request, on_event: what was written takes the place of the body, of the event. */
#define SG_ANSWER 2  /* on_request: what was written is the answer; no server is asked. */
#define SG_REFUSE 3  /* on_request, on_response_head: the client gets an error; health_probe: not well. */

/* What a call in progress is known by. Valid until the hook returns. */
typedef struct sg_call sg_call;

/* Levels for sg_host.log. */
#define SG_LOG_ERROR 1
#define SG_LOG_WARN 2
#define SG_LOG_INFO 3
#define SG_LOG_DEBUG 4

/* What a plugin can call. Given to open(), valid until close() has returned. */
typedef struct sg_host {
    uint32_t version; /* SG_VERSION */
    uint32_t size;    /* sizeof(sg_host) */
    void *of;         /* The first argument of log. */
    /* A line for the gateway's log. At any time, on any thread. */
    void (*log)(void *of, int32_t level, sg_bytes text);
    /* All others only inside a hook, on its thread, with its call. */
    /* Appends to what is written: the body of a request or an answer, the bytes of events. */
    void (*write)(sg_call *call, sg_bytes bytes);
    /* Fields of the request (on_request), of the answer (SG_ANSWER, on_response_head). Removing comes
       first, then setting, then adding. */
    void (*set_field)(sg_call *call, sg_bytes name, sg_bytes value);
    void (*add_field)(sg_call *call, sg_bytes name, sg_bytes value);
    void (*remove_field)(sg_call *call, sg_bytes name);
    /* on_request: the path and query that the server is asked for. */
    void (*set_target)(sg_call *call, sg_bytes target);
    /* on_request: the upstream that is asked first, one of those of the route. */
    void (*set_upstream)(sg_call *call, sg_bytes name);
    /* SG_ANSWER, SG_REFUSE: the status. */
    void (*set_status)(sg_call *call, uint16_t status);
    /* SG_REFUSE: what the client is told. With an error code: what the log is told. */
    void (*explain)(sg_call *call, sg_bytes text);
} sg_host;

/* An exchange, in every hook that is about one. */
typedef struct sg_exchange {
    void *state;     /* The plugin's own. NULL at first; on_end is the last to see it. */
    uint64_t number; /* Differs from exchange to exchange of this process; 0: a self-test. */
    sg_call *call;   /* For the functions of sg_host. */
} sg_exchange;

#define SG_SELF_TEST 1u  /* A conversation that the gateway plays before it activates the plugin. */
#define SG_WHOLE_BODY 2u /* sg_request.body is all of the body. */

/* on_request */
typedef struct sg_request {
    uint32_t size; /* sizeof(sg_request) */
    uint32_t flags;
    sg_bytes method;
    sg_bytes target; /* Path and query, as the client wrote them. */
    sg_bytes id;     /* X-Request-Id */
    sg_bytes route;  /* The path pattern of its route. */
    const sg_field *fields;
    size_t field_count;
    sg_bytes body; /* Up to sg_plugin.body_max bytes of it. */
} sg_request;

/* Whether on_event is called for this answer, and why not. One of: */
#define SG_EVENTS_SHOWN 0u
#define SG_EVENTS_NONE 1u     /* It is no stream of events: a document, no body. */
#define SG_EVENTS_CODED 2u    /* It is compressed. */
#define SG_EVENTS_UNFRAMED 3u /* It is a stream, and where its events end is not known. */

/* on_response_head */
typedef struct sg_response_head {
    uint32_t size; /* sizeof(sg_response_head) */
    uint32_t flags;
    uint32_t events; /* SG_EVENTS_… */
    uint16_t status;
    uint16_t reserved;
    sg_bytes upstream; /* The name of the upstream that answers. */
    const sg_field *fields;
    size_t field_count;
} sg_response_head;

/* on_event */
typedef struct sg_event {
    uint32_t size; /* sizeof(sg_event) */
    uint32_t flags;
    uint64_t number; /* From 0. */
    sg_bytes name;   /* `event:`; empty where there is none. */
    sg_bytes data;   /* `data:`, its lines joined by a line feed; of a line of JSON, the line. */
    sg_bytes raw;    /* The event as it stands in the stream, its end included. */
} sg_event;

#define SG_TOKENS_KNOWN 4u /* tokens_in and tokens_out are what the server has told. */

/* on_end, on_cancel */
typedef struct sg_end {
    uint32_t size; /* sizeof(sg_end) */
    uint32_t flags;
    uint16_t status;   /* What the client was answered; 499: it left before. */
    uint16_t reserved[3];
    sg_bytes code;     /* Why it failed, as in the access log; empty: it did not. */
    uint64_t bytes_in; /* Of the bodies. */
    uint64_t bytes_out;
    uint64_t duration_us;
    uint64_t tokens_in;
    uint64_t tokens_out;
} sg_end;

/* health_probe: the answer of a server to the request that health.path asks. */
typedef struct sg_probe {
    uint32_t size; /* sizeof(sg_probe) */
    uint32_t flags;
    uint16_t status;
    uint16_t reserved[3];
    sg_bytes upstream;
    sg_bytes body; /* Its first bytes, 64 KiB at most. */
} sg_probe;

#define SG_CHANGES_EVENTS 1u /* on_event may return SG_REPLACE, or write. Without it, events are looked at. */

/* A plugin: constant, for as long as the shared object is loaded. */
typedef struct sg_plugin {
    uint32_t version;      /* SG_VERSION */
    uint32_t size;         /* sizeof(sg_plugin) */
    char header_hash[72];  /* SG_HEADER_HASH */
    uint32_t flags;        /* SG_CHANGES_EVENTS */
    uint32_t reserved;
    uint64_t body_max;     /* How many bytes of a request's body on_request wants; 0: it is called at the head. */
    sg_bytes name;
    sg_bytes plugin_version;
    /* Once, before any other. *plugin is the first argument of all others. */
    int32_t (*open)(const sg_host *host, sg_bytes config, void **plugin);
    /* Once, when the last exchange that knew the plugin has ended. */
    void (*close)(void *plugin);
    /* Once for each request of a route that names the plugin, before a server is chosen. */
    int32_t (*on_request)(void *plugin, sg_exchange *exchange, const sg_request *request);
    /* For each answer whose head may go to the client. A request that is sent again has several. */
    int32_t (*on_response_head)(void *plugin, sg_exchange *exchange, const sg_response_head *head);
    /* For each event of a stream. SG_OK: it passes, and what was written follows it. */
    int32_t (*on_event)(void *plugin, sg_exchange *exchange, const sg_event *event);
    /* Once, the last call of an exchange that has had another. */
    int32_t (*on_end)(void *plugin, sg_exchange *exchange, const sg_end *end);
    /* Before on_end, where the client has left, or the gateway or an operator broke the exchange off. */
    int32_t (*on_cancel)(void *plugin, sg_exchange *exchange, const sg_end *end);
    /* For each check of an upstream with health.plugin. It is about no exchange; `call` is for explain. */
    int32_t (*health_probe)(void *plugin, sg_call *call, const sg_probe *probe);
} sg_plugin;

/* The one symbol of a plugin. */
#if defined(_WIN32)
const sg_plugin *sluicegate_plugin(void);
#else
__attribute__((visibility("default"))) const sg_plugin *sluicegate_plugin(void);
#endif

#ifdef __cplusplus
}
#endif

/* The SHA-256 of all lines above this one. */
#define SG_HEADER_HASH "edffd7b8e0b554519d30eaa84001eda1d4fb6fba137f2492f19c7ca2d12104af"

#endif
