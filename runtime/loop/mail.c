/* mail.c - see mail.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* SOCK_CLOEXEC */
#endif
#include "loop/http_curl.h"
#include "loop/mail_body.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

static const struct {
    const char *code;
    bool retryable;
} failures[] = {
#define ORR_FAILURE_ROW(id, code, retryable) [ORR_MAIL_##id] = {code, retryable},
    ORR_MAIL_FAILURES(ORR_FAILURE_ROW)
#undef ORR_FAILURE_ROW
};

const char *orr_mail_failure_code(orr_mail_failure failure) {
    return failures[failure].code;
}

bool orr_mail_failure_retryable(orr_mail_failure failure) {
    return failures[failure].retryable;
}

/* A block of libc's: its thread may outlive everything else. */
struct orr_mail {
    orr_job job;
    orr_blocking *threads;
    const orr_curl *curl;
    char *url, *from, *user, *password, *ca;
    struct curl_slist *to;
    orr_mail_body body;
    bool insecure, starttls;
    long timeout, connect_timeout, idle_timeout;
    void *ud;
    void (*on_end)(void *ud, const orr_mail_result *result);
    atomic_bool cancelled;
    uint64_t given;          /* bytes of the body */
    bool begun;              /* the commands of the mail itself */
    uint64_t over, deadline; /* ns, 0: none: when it was taken or refused; when all is to be over */
    /* what came of it */
    orr_mail_failure failure;
    long status;
    char reply[256]; /* the server's last line */
    char detail[CURL_ERROR_SIZE];
    char message[1024];
};

/* ns that a good-bye may take. */
#define GOODBYE UINT64_C(1000000000)

/* ---- on the thread --------------------------------------------------------------------------- */

static size_t give(char *out, size_t size, size_t n, void *mail) {
    orr_mail *m = mail;
    size_t given;
    if (!orr_mail_body_read(&m->body, out, size * n, &given)) return CURL_READFUNC_ABORT;
    m->given += given;
    return given;
}

/* CURLOPT_PREREQFUNCTION: greetings and the log-in are over. */
static int before_mail(void *mail, char *remote, char *local, int remote_port, /* NOLINT: its type */
                       int local_port) {
    orr_mail *m = mail;
    (void)remote, (void)local, (void)remote_port, (void)local_port;
    m->begun = true;
    return CURL_PREREQFUNC_OK;
}

/* Whether a line says what has become of the mail. */
static bool is_last(const orr_mail *m, const char *line, size_t n) {
    bool refused = n > 3 && (*line == '4' || *line == '5');
    bool taken = n > 3 && *line == '2' && m->given == m->body.total;
    return m->begun && line[3] == ' ' && (refused || taken);
}

/* What the server says is for people to read. The answer to a good-bye says nothing. */
static size_t hear(char *line, size_t size, size_t n, void *mail) {
    orr_mail *m = mail;
    size_t length = 0, all = size * n;
    if (m->over) return all;
    n = all;
    if (is_last(m, line, n)) m->over = uv_hrtime();
    while (n && (unsigned char)line[n - 1] <= ' ') n--;
    for (size_t i = 0; i < n && length + 1 < sizeof m->reply; i++)
        m->reply[length++] = (char)((unsigned char)line[i] < ' ' || line[i] == 0x7F ? ' ' : line[i]);
    m->reply[length] = '\0';
    return all;
}

/* Not 0 ends it, also while libcurl waits for the answer to its good-bye, which it would do for
 * minutes; then the result stays. */
static int go_on(void *mail, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    const orr_mail *m = mail;
    uint64_t now = uv_hrtime();
    (void)a, (void)b, (void)c, (void)d;
    return atomic_load(&m->cancelled) || (m->over && now > m->over + GOODBYE) ||
           (m->deadline && now > m->deadline + GOODBYE);
}

/* Closed in every program that is started. */
static curl_socket_t open_socket(void *mail, curlsocktype purpose, struct curl_sockaddr *address) {
    (void)mail;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* Remembers the first option that libcurl did not take: going on without it could mean without a
 * limit or a check. */
#define SET(option, value)                                                                                   \
    do {                                                                                                     \
        if (code == CURLE_OK) code = set(easy, (option), (value));                                           \
    } while (0)

static CURLcode set_limits(const orr_mail *m, CURL *easy) {
    __typeof__(m->curl->easy_setopt) set = m->curl->easy_setopt;
    CURLcode code = CURLE_OK;
    SET(CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_TIMEOUT_MS, m->timeout);
    SET(CURLOPT_CONNECTTIMEOUT_MS, m->connect_timeout);
    if (m->idle_timeout) SET(CURLOPT_SERVER_RESPONSE_TIMEOUT, (m->idle_timeout + 999) / 1000);
    SET(CURLOPT_USE_SSL, (long)(m->starttls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
    SET(CURLOPT_SSL_VERIFYPEER, m->insecure ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, m->insecure ? 0L : 2L);
    if (m->ca) SET(CURLOPT_CAINFO, m->ca);
    SET(CURLOPT_NOSIGNAL, 1L); /* no SIGALRM, and SIGPIPE stays the program's own */
    SET(CURLOPT_QUICK_EXIT, 1L);
    SET(CURLOPT_FORBID_REUSE, 1L);
    return code;
}

static CURLcode set_rest(orr_mail *m, CURL *easy) {
    __typeof__(m->curl->easy_setopt) set = m->curl->easy_setopt;
    CURLcode code = set_limits(m, easy);
    SET(CURLOPT_URL, m->url);
    if (m->user) SET(CURLOPT_USERNAME, m->user);
    if (m->password) SET(CURLOPT_PASSWORD, m->password);
    SET(CURLOPT_MAIL_FROM, m->from);
    SET(CURLOPT_MAIL_RCPT, m->to);
    SET(CURLOPT_UPLOAD, 1L);
    SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)m->body.total);
    SET(CURLOPT_READFUNCTION, give);
    SET(CURLOPT_READDATA, m);
    SET(CURLOPT_HEADERFUNCTION, hear);
    SET(CURLOPT_HEADERDATA, m);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_PREREQFUNCTION, before_mail);
    SET(CURLOPT_PREREQDATA, m);
    SET(CURLOPT_NOPROGRESS, 0L);
    SET(CURLOPT_XFERINFOFUNCTION, go_on);
    SET(CURLOPT_XFERINFODATA, m);
    SET(CURLOPT_ERRORBUFFER, m->detail);
    return code;
}

/* libcurl's codes by what a user can do about them; any other is the server's not speaking as it
 * should. */
static const struct {
    CURLcode code;
    orr_mail_failure failure;
} kinds[] = {
    {CURLE_OK, ORR_MAIL_NONE},
    {CURLE_COULDNT_RESOLVE_HOST, ORR_MAIL_CONNECT},
    {CURLE_COULDNT_CONNECT, ORR_MAIL_CONNECT},
    {CURLE_GOT_NOTHING, ORR_MAIL_CONNECT},
    {CURLE_SEND_ERROR, ORR_MAIL_CONNECT},
    {CURLE_RECV_ERROR, ORR_MAIL_CONNECT},
    {CURLE_PARTIAL_FILE, ORR_MAIL_CONNECT},
    {CURLE_SSL_CONNECT_ERROR, ORR_MAIL_TLS},
    {CURLE_PEER_FAILED_VERIFICATION, ORR_MAIL_TLS},
    {CURLE_SSL_CERTPROBLEM, ORR_MAIL_TLS},
    {CURLE_SSL_CIPHER, ORR_MAIL_TLS},
    {CURLE_SSL_CACERT_BADFILE, ORR_MAIL_TLS},
    {CURLE_SSL_ISSUER_ERROR, ORR_MAIL_TLS},
    {CURLE_USE_SSL_FAILED, ORR_MAIL_TLS},
    {CURLE_OPERATION_TIMEDOUT, ORR_MAIL_TIMEOUT},
    {CURLE_URL_MALFORMAT, ORR_MAIL_CONFIG},
    {CURLE_OUT_OF_MEMORY, ORR_MAIL_MEMORY},
};

/* A refusal is the server's last word: 4 passes, 5 stays (RFC 5321, section 4.2.1). A server that
 * did not speak of TLS has not refused anything. */
static orr_mail_failure failure_of(const orr_mail *m, CURLcode code) {
    orr_mail_failure failure = ORR_MAIL_PROTOCOL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].code == code) failure = kinds[i].failure;
    if (m->body.error) return ORR_MAIL_FILE;
    if (failure == ORR_MAIL_NONE || failure == ORR_MAIL_TIMEOUT || failure == ORR_MAIL_TLS) return failure;
    if (m->status >= 500 && m->status < 600) return ORR_MAIL_REFUSED;
    return m->status >= 400 && m->status < 500 ? ORR_MAIL_DEFERRED : failure;
}

static void explain(orr_mail *m, CURLcode code) {
    const char *host = strstr(m->url, "://") + 3;
    const char *detail = m->detail[0] ? m->detail : m->curl->easy_strerror(code);
    const char *remedy = m->failure == ORR_MAIL_TLS ? "; name a file of trusted certificates with ca" : "";
    char text[128];
    if (code == CURLE_USE_SSL_FAILED) remedy = "; it has no STARTTLS, try tls = \"tls\"";
    if (m->body.error == ENODATA) detail = "a file has become shorter while it was sent";
    else if (m->body.error) detail = uv_strerror_r(-m->body.error, text, sizeof text);
    snprintf(m->message, sizeof m->message, "the mail to %.*s: %s%s%s%s", (int)strcspn(host, "/"), host,
             detail, remedy, m->reply[0] ? "; the server's last words are: " : "", m->reply);
}

static void work(orr_job *job) {
    orr_mail *m = (orr_mail *)job;
    CURL *easy = atomic_load(&m->cancelled) ? NULL : m->curl->easy_init();
    CURLcode code = easy ? set_rest(m, easy) : CURLE_OUT_OF_MEMORY;
    m->deadline = m->timeout ? uv_hrtime() + (uint64_t)m->timeout * 1000000 : 0;
    if (code == CURLE_OK) {
        code = m->curl->easy_perform(easy);
        m->curl->easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &m->status);
    }
    if (easy) m->curl->easy_cleanup(easy);
    m->failure = failure_of(m, code);
    if (m->failure != ORR_MAIL_NONE) explain(m, code);
}

/* ---- on the loop's thread -------------------------------------------------------------------- */

static void free_mail(orr_mail *m) {
    char *texts[] = {m->url, m->from, m->user, m->password, m->ca};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) free(texts[i]);
    m->curl->slist_free_all(m->to);
    orr_mail_body_free(&m->body);
    free(m);
}

static void drop(orr_job *job) {
    free_mail((orr_mail *)job);
}

static void done(orr_job *job) {
    orr_mail *m = (orr_mail *)job;
    orr_mail_result r = {m->failure, m->failure == ORR_MAIL_NONE ? "" : m->message, m->status};
    if (!atomic_load(&m->cancelled)) m->on_end(m->ud, &r);
    free_mail(m);
}

/* NULL stays; *ok: there was memory. */
static char *copy(const char *text, bool *ok) {
    char *made = text ? strdup(text) : NULL;
    *ok = *ok && (made || !text);
    return made;
}

static bool take(orr_mail *m, const orr_mail_request *r) {
    bool ok = true;
    m->url = copy(r->url, &ok);
    m->from = copy(r->from, &ok);
    m->user = copy(r->user, &ok);
    m->password = copy(r->password, &ok);
    m->ca = copy(r->ca, &ok);
    for (size_t i = 0; i < r->n_to && ok; i++) {
        struct curl_slist *list = m->curl->slist_append(m->to, r->to[i]);
        ok = list != NULL;
        if (list) m->to = list;
    }
    m->insecure = r->insecure;
    m->starttls = r->starttls;
    m->timeout = (long)r->timeout;
    m->connect_timeout = (long)r->connect_timeout;
    m->idle_timeout = (long)r->idle_timeout;
    m->ud = r->ud;
    m->on_end = r->on_end;
    return ok && orr_mail_body_copy(&m->body, r->pieces, r->n_pieces);
}

/* What ends a line, or an address, would begin a command of its own. */
static bool is_plain(const char *text, const char *others) {
    for (; *text; text++)
        if ((unsigned char)*text <= ' ' || *text == 0x7F || strchr(others, *text)) return false;
    return true;
}

static const char *mistake_of(const orr_mail_request *r) {
    if (strncasecmp(r->url, "smtp://", 7) && strncasecmp(r->url, "smtps://", 8))
        return "url: expected it to begin with smtp:// or smtps://";
    if (!is_plain(r->url, "@")) return "url: it has a character that no address of a server has";
    if (!r->n_to) return "to: a mail goes to somebody";
    for (size_t i = 0; i <= r->n_to; i++)
        if (!is_plain(i < r->n_to ? r->to[i] : r->from, "<>"))
            return "from and to: an address has neither blanks, < and >, nor control characters";
    return NULL;
}

orr_mail *orr_mail_start(orr_blocking *threads, const orr_mail_request *r, const char **why) {
    *why = mistake_of(r);
    const orr_curl *curl = *why ? NULL : orr_curl_get(why);
    if (!curl) return NULL;
    orr_mail *m = calloc(1, sizeof *m);
    *why = "there is no memory, no descriptor or no thread for a mail";
    if (!m) return NULL;
    m->job = (orr_job){.work = work, .done = done, .drop = drop};
    m->curl = curl;
    m->threads = threads;
    if (take(m, r) && orr_blocking_submit(threads, &m->job, true)) return m;
    free_mail(m);
    return NULL;
}

void orr_mail_cancel(orr_mail *m) {
    atomic_store(&m->cancelled, true);
    orr_blocking_unref(m->threads, &m->job);
}
