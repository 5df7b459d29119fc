/* uuid.c - UUIDs (RFC 9562) as text and as bytes. */
#include "lua/lua.h"

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool orr_uuid_parse(const char *text, uint8_t id[16]) {
    int n = 0;
    for (int i = 0; i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        int digit = hex_digit(text[i]);
        if (dash ? text[i] != '-' : digit < 0) return false;
        if (dash) continue;
        id[n / 2] = (uint8_t)(n % 2 ? id[n / 2] << 4 | digit : digit);
        n++;
    }
    return text[36] == '\0';
}

void orr_uuid_format(char *text, const uint8_t id[16]) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *text++ = '-';
        *text++ = digits[id[i] >> 4];
        *text++ = digits[id[i] & 15];
    }
    *text = '\0';
}

/* Version and variant (RFC 9562, 4). */
static void mark(uint8_t id[16], unsigned version) {
    id[6] = (uint8_t)((id[6] & 0x0f) | version << 4);
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
}

/* 48 bits of Unix milliseconds, 74 of chance (RFC 9562, 5.7). */
void orr_uuid_v7(uint8_t id[16], int64_t now, const uint64_t chance[2]) {
    uint64_t ms = (uint64_t)(now / 1000000);
    for (int i = 0; i < 6; i++) id[i] = (uint8_t)(ms >> (40 - 8 * i));
    for (int i = 6; i < 16; i++) id[i] = (uint8_t)(chance[i & 1] >> (i / 2 * 8 % 64));
    mark(id, 7);
}

void orr_push_uuid(lua_State *L, const uint64_t bits[2], unsigned version) {
    uint8_t id[16];
    char text[ORR_UUID_TEXT];
    for (int i = 0; i < 16; i++) id[i] = (uint8_t)(bits[i / 8] >> (56 - 8 * (i % 8)));
    mark(id, version);
    orr_uuid_format(text, id);
    lua_pushstring(L, text);
}
