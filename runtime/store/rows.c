/* rows.c - kinds of rows, and ids as text; see backend.h */
#include "store/backend.h"

#include "store/record/record.h"

#include <string.h>

size_t orr_row_columns(orr_row_kind kind) {
#define ORR_ROW_TEXT(id, columns) columns,
    static const char *const columns[] = {ORR_ROWS(ORR_ROW_TEXT)};
#undef ORR_ROW_TEXT
    size_t n = 1;
    for (const char *c = columns[kind]; *c != '\0'; c++) n += *c == ',';
    return n;
}

int orr_row_run(orr_row_kind kind) {
    if (kind == ORR_ROW_CACHE) return 4;
    if (kind == ORR_ROW_STATE) return ORR_STATE_RUN;
    bool first = kind == ORR_ROW_LOG || kind == ORR_ROW_PUBLISHED || kind == ORR_ROW_WHY ||
                 kind == ORR_ROW_LOCK || kind == ORR_ROW_UNLOCK;
    return first ? 0 : -1;
}

void orr_run_text(const uint8_t run[16], char text[37]) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *text++ = '-';
        *text++ = digits[run[i] >> 4];
        *text++ = digits[run[i] & 15];
    }
    *text = '\0';
}

static int digit_of(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool orr_run_parse(const char *text, uint8_t run[16]) {
    for (int i = 0; i < 16; i++) {
        if ((i == 4 || i == 6 || i == 8 || i == 10) && *text++ != '-') return false;
        int high = digit_of(text[0]), low = high < 0 ? -1 : digit_of(text[1]);
        if (low < 0) return false;
        run[i] = (uint8_t)(high << 4 | low);
        text += 2;
    }
    return *text == '\0';
}

orr_field orr_field_text(const char *text) {
    return text == NULL ? (orr_field){.type = ORR_FIELD_NULL}
                        : (orr_field){.type = ORR_FIELD_TEXT, .bytes = text, .size = strlen(text)};
}

/* ---- checksums ------------------------------------------------------------------------------- */

/* The type and the value or size, eight bytes each, the lowest first: a store may be read on a
 * machine with another byte order. */
static uint32_t add_value(uint32_t crc, const orr_field *v) {
    uint64_t words[2] = {(uint64_t)v->type, 0};
    uint8_t head[sizeof words];
    bool is_bytes = v->type >= ORR_FIELD_TEXT;
    if (v->type == ORR_FIELD_INTEGER) words[1] = (uint64_t)v->integer;
    else if (v->type == ORR_FIELD_REAL) memcpy(&words[1], &v->real, sizeof v->real);
    else if (is_bytes) words[1] = v->size;
    for (size_t i = 0; i < sizeof head; i++) head[i] = (uint8_t)(words[i / 8] >> (8 * (i % 8)));
    crc = orr_crc32c(crc, head, sizeof head);
    return is_bytes && v->size > 0 ? orr_crc32c(crc, v->bytes, v->size) : crc;
}

int64_t orr_row_checksum(const orr_field *values, size_t n) {
    uint32_t crc = 0;
    for (size_t i = 0; i < n; i++) crc = add_value(crc, &values[i]);
    return (int64_t)ORR_CHECKSUM_VERSION << 32 | crc;
}

bool orr_row_intact(const orr_field *values, size_t n) {
    const orr_field *last = &values[n - 1];
    if (last->type == ORR_FIELD_NULL) return true;
    return last->type == ORR_FIELD_INTEGER && last->integer == orr_row_checksum(values, n - 1);
}
