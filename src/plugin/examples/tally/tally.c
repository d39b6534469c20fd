/*
 * Tally: an example plugin in C, which looks at events and changes none of them.
 *
 *   cc -shared -fPIC -O2 -I src/plugin -o tally.so src/plugin/examples/tally/tally.c
 *
 * It counts the events of each stream and logs the count at its end. Requests without the field that its
 * configuration names are refused; with the value "canned" in it they are answered here. What an exchange
 * needs is kept in one block, made at its first event and freed at its end.
 */
#include "sluicegate_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct tally {
    const sg_host *host;
    size_t wanted_length;
    char wanted[64]; /* The field that a request has to have; empty: none. */
};

static int32_t tally_open(const sg_host *host, sg_bytes config, void **plugin) {
    struct tally *tally;
    if (config.length >= sizeof tally->wanted) return -1;
    tally = calloc(1, sizeof *tally);
    if (tally == NULL) return -2;
    tally->host = host;
    tally->wanted_length = config.length;
    if (config.length > 0) memcpy(tally->wanted, config.data, config.length);
    *plugin = tally;
    return SG_OK;
}

static void tally_close(void *plugin) {
    struct tally *tally = plugin;
    tally->host->log(tally->host->of, SG_LOG_INFO, SG_BYTES("closed"));
    free(tally);
}

static int32_t tally_on_request(void *plugin, sg_exchange *exchange, const sg_request *request) {
    struct tally *tally = plugin;
    const sg_host *host = tally->host;
    size_t at;
    if (tally->wanted_length == 0) return SG_OK;
    for (at = 0; at < request->field_count; at++) {
        const sg_field *field = &request->fields[at];
        if (field->name.length != tally->wanted_length) continue;
        if (strncasecmp((const char *)field->name.data, tally->wanted, tally->wanted_length) != 0) continue;
        if (field->value.length == 6 && memcmp(field->value.data, "canned", 6) == 0) {
            host->set_status(exchange->call, 200);
            host->set_field(exchange->call, SG_BYTES("Content-Type"), SG_BYTES("application/json"));
            host->write(exchange->call, SG_BYTES("{\"canned\":true}"));
            return SG_ANSWER;
        }
        return SG_OK;
    }
    host->set_status(exchange->call, 403);
    host->explain(exchange->call, SG_BYTES("a field is missing that this gateway wants"));
    return SG_REFUSE;
}

static int32_t tally_on_event(void *plugin, sg_exchange *exchange, const sg_event *event) {
    (void)plugin;
    (void)event;
    if (exchange->state == NULL) exchange->state = calloc(1, sizeof(uint64_t));
    if (exchange->state == NULL) return -2;
    ++*(uint64_t *)exchange->state;
    return SG_OK;
}

static int32_t tally_on_end(void *plugin, sg_exchange *exchange, const sg_end *end) {
    struct tally *tally = plugin;
    char line[96];
    int length;
    if (exchange->state == NULL) return SG_OK;
    length = snprintf(line, sizeof line, "%llu events, status %u",
                      (unsigned long long)*(uint64_t *)exchange->state, (unsigned)end->status);
    if (length > 0) {
        sg_bytes text = { (const uint8_t *)line, (size_t)length };
        tally->host->log(tally->host->of, SG_LOG_INFO, text);
    }
    free(exchange->state);
    exchange->state = NULL;
    return SG_OK;
}

static int32_t tally_health_probe(void *plugin, sg_call *call, const sg_probe *probe) {
    struct tally *tally = plugin;
    size_t at;
    for (at = 0; at + 7 <= probe->body.length; at++) {
        if (memcmp(probe->body.data + at, "loading", 7) == 0) {
            tally->host->explain(call, SG_BYTES("its model is loading"));
            return SG_REFUSE;
        }
    }
    return SG_OK;
}

static const sg_plugin table = {
    .version = SG_VERSION,
    .size = sizeof(sg_plugin),
    .header_hash = SG_HEADER_HASH,
    .name = SG_TEXT("tally"),
    .plugin_version = SG_TEXT("1"),
    .open = tally_open,
    .close = tally_close,
    .on_request = tally_on_request,
    .on_event = tally_on_event,
    .on_end = tally_on_end,
    .health_probe = tally_health_probe,
};

const sg_plugin *sluicegate_plugin(void) {
    return &table;
}
