/*
 * A plugin for tests, which does what the words of its configuration say: HOOK=DEED, with blanks between them.
 * It logs every call of a hook. TAG tells two builds apart; CHANGES builds one that changes events.
 */
#include "sluicegate_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef TAG
#define TAG "one"
#endif
#ifndef CHANGES
#define CHANGES 0
#endif
#ifndef BODY_MAX
#define BODY_MAX 65536
#endif

struct script {
    const sg_host *host;
    char words[512];
};

static void say(struct script *script, const char *hook, uint64_t number, const char *rest) {
    char line[256];
    int length = snprintf(line, sizeof line, TAG ": %s %llu %s", hook, (unsigned long long)number, rest);
    sg_bytes text = { (const uint8_t *)line, (size_t)length };
    script->host->log(script->host->of, SG_LOG_INFO, text);
}

static int told(struct script *script, const char *word) {
    return strstr(script->words, word) != NULL;
}

static int32_t on_open(const sg_host *host, sg_bytes config, void **plugin) {
    struct script *script = calloc(1, sizeof *script);
    if (script == NULL || config.length >= sizeof script->words) return -2;
    script->host = host;
    if (config.length > 0) memcpy(script->words, config.data, config.length);
    if (told(script, "open=fail")) return -5;
    *plugin = script;
    return SG_OK;
}

static void on_close(void *plugin) {
    say(plugin, "close", 0, "");
    free(plugin);
}

static int32_t on_request(void *plugin, sg_exchange *exchange, const sg_request *request) {
    struct script *script = plugin;
    const sg_host *host = script->host;
    sg_call *call = exchange->call;
    char rest[128];
    if (request->flags & SG_SELF_TEST) return told(script, "test=fail") ? -6 : SG_OK;
    exchange->state = malloc(16);
    snprintf(rest, sizeof rest, "%.*s whole=%d", (int)request->body.length, (const char *)request->body.data,
             (request->flags & SG_WHOLE_BODY) != 0);
    say(script, "on_request", exchange->number, rest);
    if (told(script, "request=fail")) {
        host->explain(call, SG_BYTES("as it was told"));
        return -7;
    }
    if (told(script, "request=slow")) usleep(3000);
    if (told(script, "request=target")) host->set_target(call, SG_BYTES("/other?x=y"));
    if (told(script, "request=field")) {
        host->set_field(call, SG_BYTES("X-Set"), SG_BYTES("yes"));
        host->remove_field(call, SG_BYTES("X-Gone"));
    }
    if (told(script, "request=framing")) host->set_field(call, SG_BYTES("Content-Length"), SG_BYTES("1"));
    if (told(script, "request=upstream")) host->set_upstream(call, SG_BYTES("second"));
    if (told(script, "request=nobody")) host->set_upstream(call, SG_BYTES("nobody"));
    if (told(script, "request=body")) {
        host->write(call, SG_BYTES("{\"model\":\"other\",\"from\":\"" TAG "\"}"));
        return SG_REPLACE;
    }
    return SG_OK;
}

static int32_t on_response_head(void *plugin, sg_exchange *exchange, const sg_response_head *head) {
    struct script *script = plugin;
    char rest[64];
    snprintf(rest, sizeof rest, "status=%u events=%u %.*s", head->status, head->events,
             (int)head->upstream.length, (const char *)head->upstream.data);
    say(script, "on_response_head", exchange->number, rest);
    script->host->set_field(exchange->call, SG_BYTES("X-Tag"), SG_BYTES(TAG));
    if (told(script, "head=refuse") && exchange->number > 0) {
        script->host->set_status(exchange->call, 451);
        script->host->explain(exchange->call, SG_BYTES("not this answer"));
        return SG_REFUSE;
    }
    return told(script, "head=fail") && exchange->number > 0 ? -8 : SG_OK;
}

static int32_t on_event(void *plugin, sg_exchange *exchange, const sg_event *event) {
    struct script *script = plugin;
    const sg_host *host = script->host;
    sg_call *call = exchange->call;
    if (told(script, "event=slow") && exchange->number > 0) usleep(3000);
    if (told(script, "event=fail") && event->number == 1 && exchange->number > 0) return -9;
#if CHANGES
    if (told(script, "event=drop") && event->number == 1) return SG_REPLACE;
    if (told(script, "event=add")) host->write(call, SG_BYTES(": " TAG "\n\n"));
    if (told(script, "event=tag")) {
        host->write(call, SG_BYTES("data: " TAG " "));
        host->write(call, event->data);
        host->write(call, SG_BYTES("\n\n"));
        return SG_REPLACE;
    }
#else
    (void)call;
    if (told(script, "event=log")) {
        sg_bytes text = event->data;
        host->log(host->of, SG_LOG_INFO, text);
    }
#endif
    return SG_OK;
}

static int32_t on_end(void *plugin, sg_exchange *exchange, const sg_end *end) {
    char rest[96];
    snprintf(rest, sizeof rest, "status=%u code=%.*s out=%llu state=%d", end->status, (int)end->code.length,
             (const char *)end->code.data, (unsigned long long)end->bytes_out, exchange->state != NULL);
    say(plugin, "on_end", exchange->number, rest);
    free(exchange->state);
    return SG_OK;
}

static int32_t on_cancel(void *plugin, sg_exchange *exchange, const sg_end *end) {
    char rest[64];
    snprintf(rest, sizeof rest, "code=%.*s", (int)end->code.length, (const char *)end->code.data);
    say(plugin, "on_cancel", exchange->number, rest);
    return SG_OK;
}

static const sg_plugin table = {
    .version = SG_VERSION,
    .size = sizeof(sg_plugin),
    .header_hash = SG_HEADER_HASH,
    .flags = CHANGES ? SG_CHANGES_EVENTS : 0,
    .body_max = BODY_MAX,
    .name = SG_TEXT("script"),
    .plugin_version = SG_TEXT(TAG),
    .open = on_open,
    .close = on_close,
    .on_request = on_request,
    .on_response_head = on_response_head,
    .on_event = on_event,
    .on_end = on_end,
    .on_cancel = on_cancel,
};

const sg_plugin *sluicegate_plugin(void) {
    return &table;
}
