/* site.c - builds a web site out of pages of text; what has not changed is not made again.
 *
 * usage: site FROM TO [SCRIPT]
 *
 * FROM has pages (*.md) and template.html, TO gets the site, and in TO/.site.db the library keeps
 * what it has made. The work is told by site.lua; here is what a program adds to it: a node type of
 * its own, and events. */
#include <orrery.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct build {
    orr_runtime *rt;
    unsigned made, kept, written; /* pages and the index; files */
} build;

/* ---- the node type site.put { path, content } ------------------------------------------------ */

static bool is_there(const char *path, const char *content, size_t size) {
    FILE *file = fopen(path, "rb");
    char *old = malloc(size + 1);
    bool same = file != NULL && old != NULL && fread(old, 1, size + 1, file) == size &&
                memcmp(old, content, size) == 0;
    free(old);
    if (file != NULL) fclose(file);
    return same;
}

static bool make_folders(const char *path) {
    char folder[4096];
    if (strlen(path) >= sizeof folder) return false;
    for (const char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        snprintf(folder, sizeof folder, "%.*s", (int)(at - path), path);
        if (mkdir(folder, 0777) != 0 && errno != EEXIST) return false;
    }
    return true;
}

static bool put_file(const char *path, const char *content, size_t size) {
    FILE *file = make_folders(path) ? fopen(path, "wb") : NULL;
    if (file == NULL) return false;
    bool good = fwrite(content, 1, size, file) == size;
    return fclose(file) == 0 && good;
}

static void put(void *ud, orr_runtime *rt, const orr_call *call) {
    build *b = ud;
    size_t size = 0;
    const char *path = orr_value_text(rt, orr_value_field(rt, call->config_value, "path"), NULL);
    const char *content = orr_value_text(rt, orr_value_field(rt, call->config_value, "content"), &size);
    if (path == NULL || content == NULL) {
        orr_fail(rt, call->token, "config_error", "site.put takes a path and a content", false);
    } else if (is_there(path, content, size)) {
        orr_complete(rt, call->token, "false");
    } else if (!put_file(path, content, size)) {
        char message[4300];
        snprintf(message, sizeof message, "%s: %s", path, strerror(errno));
        orr_fail(rt, call->token, "file_error", message, false);
    } else {
        printf("wrote %s\n", path);
        b->written++;
        orr_complete(rt, call->token, "true");
    }
}

/* ---- the build ------------------------------------------------------------------------------- */

/* What came from an earlier build says so. */
static void count(void *ud, const orr_event_info *event) {
    build *b = ud;
    bool page = strcmp(event->node, "page") == 0 && event->item > 0;
    if (!page && strcmp(event->node, "index") != 0) return;
    bool cached = orr_value_boolean(b->rt, orr_value_field(b->rt, event->fields, "cached"), false);
    *(cached ? &b->kept : &b->made) += 1;
}

static void complain(void *ud, const orr_error_info *error) {
    (void)ud;
    fprintf(stderr, "site: %s\n", error->message);
}

static orr_runtime *open_in(const char *to, build *b) {
    char store[4200];
    snprintf(store, sizeof store, "sqlite:%s/.site.db", to);
    orr_config config;
    orr_config_init(&config);
    config.store = store;
    config.durability = ORR_DURABLE_RELAXED; /* a build that was lost is made again */
    config.ud = b;
    config.on_error = complain;
    config.on_typed_event = count;
    config.events = ORR_EVENT_BIT(ORR_EVENT_NODE_COMPLETED);
    return orr_open(&config);
}

static bool work(orr_runtime *rt, build *b, char **folders, const char *script) {
    orr_type type = {.size = sizeof type, .name = "site.put", .ud = b, .start = put, .values = true};
    if (orr_register(rt, &type) != ORR_OK) return false;
    orr_workflow *site = orr_load_file(rt, script);
    if (site == NULL) return false;
    orr_start_options options;
    orr_start_options_init(&options);
    options.input = orr_value_object(rt);
    orr_value_set_text(rt, options.input, "from", folders[0], strlen(folders[0]));
    orr_value_set_text(rt, options.input, "to", folders[1], strlen(folders[1]));
    orr_run_id run = orr_start(rt, site, NULL, &options);
    if (orr_run_id_is_none(run) || orr_wait(rt, run) != ORR_OK) return false;
    if (orr_state(rt, run) == ORR_RUN_COMPLETED) return true;
    fprintf(stderr, "site: %s\n", orr_run_error_json(rt, run));
    return false;
}

int main(int argc, char **argv) {
    build b = {NULL, 0, 0, 0};
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: site FROM TO [SCRIPT]\n");
        return 2;
    }
    for (char **folder = argv + 1; folder < argv + 3; folder++)
        for (size_t n = strlen(*folder); n > 1 && (*folder)[n - 1] == '/'; n--) (*folder)[n - 1] = 0;
    if (mkdir(argv[2], 0777) != 0 && errno != EEXIST) perror(argv[2]);
    b.rt = open_in(argv[2], &b);
    bool good = b.rt != NULL && work(b.rt, &b, argv + 1, argc > 3 ? argv[3] : "examples/site/site.lua");
    orr_close(b.rt);
    if (good) printf("made %u, kept %u, written %u\n", b.made, b.kept, b.written);
    return good ? 0 : 1;
}
