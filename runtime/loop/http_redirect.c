/* http_redirect.c - follows redirects, each as a transfer of libcurl of its own: so what may go on
 * to another origin is decided here, and a kept connection that turns out to be bad can be left
 * without repeating what came before it. */
#include "loop/http_client.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_redirect(long status) {
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

bool orr_http_is_followed(const orr_transfer *t) {
    if (!t->may_follow || !is_redirect(t->lines.status)) return false;
    const char *location = orr_http_find_header(t, "Location");
    return location && *location;
}

/* ---- the address ----------------------------------------------------------------------------- */

static bool same_part(const orr_curl *c, CURLU *a, CURLU *b, CURLUPart part) {
    char *x = NULL, *y = NULL;
    bool same = c->url_get(a, part, &x, CURLU_DEFAULT_PORT) == CURLUE_OK &&
                c->url_get(b, part, &y, CURLU_DEFAULT_PORT) == CURLUE_OK && !strcasecmp(x, y);
    c->free(x);
    c->free(y);
    return same;
}

static bool same_origin(const orr_curl *c, CURLU *a, CURLU *b) {
    return same_part(c, a, b, CURLUPART_SCHEME) && same_part(c, a, b, CURLUPART_HOST) &&
           same_part(c, a, b, CURLUPART_PORT);
}

/* User and password of a URL stay within its origin; those that a server names are not used. */
static bool set_user(const orr_curl *c, CURLU *to, CURLU *from, bool same) {
    static const CURLUPart parts[] = {CURLUPART_USER, CURLUPART_PASSWORD};
    for (size_t i = 0; i < 2; i++) {
        char *text = NULL;
        if (same) c->url_get(from, parts[i], &text, 0);
        CURLUcode code = c->url_set(to, parts[i], text, 0);
        c->free(text);
        if (code != CURLUE_OK) return false;
    }
    return true;
}

/* ---- what goes on there ---------------------------------------------------------------------- */

static bool listed(const char *const *names, size_t n, const char *line) {
    size_t length = strcspn(line, ":;");
    for (size_t i = 0; i < n; i++)
        if (strlen(names[i]) == length && !strncasecmp(names[i], line, length)) return true;
    return false;
}

/* What another origin may see: names that carry no credentials by their meaning (RFC 9110). Keys of
 * services have names of their own choice, so all others stay. */
static bool is_public(const char *line) {
    static const char *const names[] = {"Accept",
                                        "Accept-Charset",
                                        "Accept-Encoding",
                                        "Accept-Language",
                                        "Cache-Control",
                                        "Content-Encoding",
                                        "Content-Language",
                                        "Content-Type",
                                        "Expect",
                                        "If-Match",
                                        "If-Modified-Since",
                                        "If-None-Match",
                                        "If-Range",
                                        "If-Unmodified-Since",
                                        "Pragma",
                                        "Prefer",
                                        "Range",
                                        "TE",
                                        "User-Agent"};
    return listed(names, sizeof names / sizeof *names, line);
}

static bool is_of_body(const char *line) {
    static const char *const names[] = {"Content-Encoding", "Content-Language", "Content-Length",
                                        "Content-Location", "Content-Type",     "Digest",
                                        "Last-Modified",    "Transfer-Encoding"};
    return listed(names, sizeof names / sizeof *names, line);
}

static bool filter_headers(orr_transfer *t, bool same, bool without_body) {
    const orr_curl *c = t->http->curl;
    struct curl_slist *old = t->headers;
    bool ok = true;
    t->headers = NULL;
    for (struct curl_slist *l = old; l && ok; l = l->next)
        if ((same || is_public(l->data)) && !(without_body && is_of_body(l->data)))
            ok = orr_http_append(t, l->data);
    ok = c->easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers) == CURLE_OK && ok;
    c->slist_free_all(old);
    return ok;
}

/* 303 asks for a GET; 301 and 302 make one of a POST, as all clients do (RFC 9110, 15.4). */
static bool becomes_get(const orr_transfer *t) {
    if (t->is_head) return false;
    return t->lines.status == 303 || (t->is_post && (t->lines.status == 301 || t->lines.status == 302));
}

static bool make_get(orr_transfer *t) {
    const orr_curl *c = t->http->curl;
    t->is_post = false;
    return c->easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, (char *)NULL) == CURLE_OK &&
           c->easy_setopt(t->easy, CURLOPT_HTTPGET, 1L) == CURLE_OK;
}

static orr_http_failure refuse(orr_transfer *t, const char *reason, const char *what) {
    snprintf(t->reason_text, sizeof t->reason_text, "%s%s", reason, what);
    t->reason = t->reason_text;
    return ORR_HTTP_PROTOCOL;
}

static orr_http_failure go_to(orr_transfer *t, CURLU *from, CURLU *to, const char *given) {
    const orr_curl *c = t->http->curl;
    char *scheme = NULL, *url = NULL;
    bool web = c->url_get(to, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
               (!strcasecmp(scheme, "http") || !strcasecmp(scheme, "https"));
    c->free(scheme);
    if (!web) return refuse(t, "it redirects to what is neither http nor https: ", given);
    bool same = same_origin(c, from, to), get = becomes_get(t);
    if (!set_user(c, to, from, same) || c->url_get(to, CURLUPART_URL, &url, 0) != CURLUE_OK)
        return ORR_HTTP_MEMORY;
    bool ok = filter_headers(t, same, get) && (!get || make_get(t)) &&
              c->easy_setopt(t->easy, CURLOPT_URL, url) == CURLE_OK &&
              c->easy_setopt(t->easy, CURLOPT_FRESH_CONNECT, 0L) == CURLE_OK;
    c->free(url);
    return ok ? ORR_HTTP_NONE : ORR_HTTP_MEMORY;
}

orr_http_failure orr_http_redirect(orr_transfer *t) {
    const orr_curl *c = t->http->curl;
    const char *given = orr_http_find_header(t, "Location");
    char *here = NULL, *there = NULL;
    if (t->redirects == t->most_redirects) return refuse(t, "too many redirects, the last to ", given);
    c->easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &here);
    c->easy_getinfo(t->easy, CURLINFO_REDIRECT_URL, &there);
    CURLU *from = c->url(), *to = c->url();
    orr_http_failure failure = ORR_HTTP_MEMORY;
    if (from && to) {
        bool known = here && there &&
                     c->url_set(from, CURLUPART_URL, here, CURLU_GUESS_SCHEME) == CURLUE_OK &&
                     c->url_set(to, CURLUPART_URL, there, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK;
        failure = known ? go_to(t, from, to, given) : refuse(t, "it redirects to what is no URL: ", given);
    }
    c->url_cleanup(from);
    c->url_cleanup(to);
    t->redirects++;
    return failure;
}
