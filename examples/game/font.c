/* font.c - capitals, digits and signs of 3 by 5 points. */
#include "screen.h"

#include <ctype.h>
#include <string.h>

enum { POINT = 2, ADVANCE = 4 * POINT, LINE = 8 * POINT };

/* A row of three points is an octal digit, its highest bit on the left; from top to bottom. */
static const char signs[] = " .,:;-_'/()%!?<>=+#|";
static const char *const sign_rows[] = {"00000", "00002", "00024", "02020", "02024", "00700", "00007",
                                        "22000", "11244", "12221", "42224", "51245", "22202", "61202",
                                        "12421", "42124", "07070", "02720", "57575", "22222"};
static const char *const letter_rows[] = {"25755", "65656", "34443", "65556", "74647", "74644", "34553",
                                          "55755", "72227", "11152", "55655", "44447", "57755", "65555",
                                          "25552", "65644", "25563", "65655", "34216", "72222", "55557",
                                          "55552", "55775", "55255", "55222", "71247"};
static const char *const digit_rows[] = {"75557", "26227", "61247", "71317", "55711",
                                         "74716", "34757", "71222", "75757", "75716"};

static const char *rows_of(char c) {
    unsigned char upper = (unsigned char)toupper((unsigned char)c);
    if (upper >= 'A' && upper <= 'Z') return letter_rows[upper - 'A'];
    if (upper >= '0' && upper <= '9') return digit_rows[upper - '0'];
    const char *sign = c != 0 ? strchr(signs, c) : NULL;
    return sign != NULL ? sign_rows[sign - signs] : sign_rows[0];
}

static void draw_sign(SDL_Renderer *renderer, const char *rows, int x, int y) {
    for (int row = 0; row < 5; row++)
        for (int column = 0; column < 3; column++)
            if ((rows[row] - '0') >> (2 - column) & 1)
                SDL_RenderFillRect(renderer, &(SDL_Rect){x + column * POINT, y + row * POINT, POINT, POINT});
}

void font_draw(SDL_Renderer *renderer, const char *text, int x, int y) {
    int column = 0;
    for (; *text != 0; text++) {
        if (*text == '\n') {
            column = 0;
            y += LINE;
            continue;
        }
        draw_sign(renderer, rows_of(*text), x + column++ * ADVANCE, y);
    }
}
