/* Reads calls of kernels from a file, with all memory that they are given and what it is
   afterwards, makes them, and compares. See record.py for the file. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <windows.h>
#endif

typedef struct {
    int (*number)(void), (*threads)(void);
    int64_t first, stride, count;
    void *arguments;
} call_t;
typedef struct {
    void **p;
    const double *c;
    const int64_t *sizes, *offsets, *w;
    void *blocks;
    int64_t T, I, batch, keep, packed, chunk, panel;
    void *team;
    const int64_t *bounds;
} sequence_t;
typedef struct {
    int64_t rows, columns, units, lda, ldb, ldc;
    const void *a, *b;
    void *c, *work;
} gradient_t;
typedef void function_t(const call_t *);

static FILE *file;

static void stop(const char *why, const char *what) {
    printf("%s: %s\n", why, what);
    exit(1);
}

static void *bytes(int64_t count) { /* in the file they are padded to eight */
    const size_t padded = (size_t)(count + 7) / 8 * 8;
    void *to = malloc(padded + 64);
    if (!to || fread(to, 1, padded, file) != padded) stop("the file is cut short", "");
    return to;
}

static int64_t number(void) {
    int64_t value;
    if (fread(&value, sizeof value, 1, file) != 1) stop("the file is cut short", "");
    return value;
}

static void *numbers(int64_t count) { return count ? bytes(8 * count) : NULL; }

#ifdef _WIN32
static void *lookup(const char *name) {
    static HMODULE library;
    if (!library && !(library = LoadLibraryA("kernels.dll"))) stop("no library", "kernels.dll");
    return (void *)GetProcAddress(library, name);
}
#else
void *lookup(const char *name);
#endif

static void *find(const char *name) {
    void *found = lookup(name);
    if (!found) stop("there is no such function", name);
    return found;
}

/* the largest difference, as a part of the largest number of the region, or of 1; what has the same
   bits, such as memory that nobody wrote to, is the same */
static double difference(int is_double, int64_t size, const void *one, const void *other) {
    const int64_t step = is_double ? 8 : 4;
    double largest = 1, worst = 0;
    for (int64_t k = 0; k + step <= size; k += step) {
        const char *a = (const char *)one + k, *b = (const char *)other + k;
        const double x = is_double ? *(const double *)a : *(const float *)a;
        const double y = is_double ? *(const double *)b : *(const float *)b;
        if (!memcmp(a, b, (size_t)step)) continue;
        if (fabs(y) > largest) largest = fabs(y);
        if (!(fabs(x - y) <= worst)) worst = fabs(x - y);
    }
    return worst / largest;
}

int main(int count, char **words) {
    if (count < 2 || !(file = fopen(words[1], "rb"))) stop("cannot be read", words[1]);
    const int64_t calls = number();
    double worst[2] = {0, 0};
    for (int64_t n = 0; n < calls; n++) {
        const char *name = bytes(number());
        const int64_t is_double = number(), kind = number(), panel = number();
        const char *suffix = is_double ? "double" : "float";
        char other[64];
        snprintf(other, sizeof other, "%s_panel_width", suffix);
        if (((int64_t(*)(void))find(other))() != panel) stop("another width of panels", name);
        int64_t given[11];
        for (int k = 0; k < 11; k++) given[k] = number();
        const int64_t *sizes = numbers(number()), *offsets = numbers(number());
        const int64_t *widths = numbers(number());
        const double *constants = numbers(number());
        const int64_t regions = number();
        void *before[256], *after[256];
        int64_t lengths[256];
        for (int64_t k = 0; k < regions; k++) {
            lengths[k] = number();
            before[k] = bytes(lengths[k]);
            after[k] = bytes(lengths[k]);
        }
        const int64_t slots = number();
        void *p[512];
        for (int64_t k = 0; k < slots; k++) {
            const int64_t region = number(), offset = number();
            p[k] = region < 0 ? NULL : (char *)before[region] + offset;
        }
        if (kind == 0) {
            snprintf(other, sizeof other, "%s_blocks", suffix);
            sequence_t s = {p, constants, sizes, offsets, widths, find(other), given[0], given[1],
                            given[2], given[3], given[4]};
            const call_t call = {NULL, NULL, 0, 1, given[5], &s};
            ((function_t *)find(name))(&call);
        } else {
            snprintf(other, sizeof other, "%s_gradient_work", suffix);
            const int64_t work = ((int64_t(*)(int64_t))find(other))(given[1]);
            gradient_t g = {given[0], given[1], given[2], given[3], given[4], given[5], p[0], p[1],
                            p[2], calloc((size_t)(work * given[6]), 8)};
            const call_t call = {NULL, NULL, 0, 1, given[6], &g};
            snprintf(other, sizeof other, "%s_gradient", suffix);
            ((function_t *)find(other))(&call);
        }
        for (int64_t k = 0; k < regions; k++) {
            const double found = difference((int)is_double, lengths[k], before[k], after[k]);
            if (!(found <= (is_double ? 1e-11 : 2e-5))) {
                printf("%s, memory %d: off by %g\n", name, (int)k, found);
                return 1;
            }
            if (found > worst[is_double]) worst[is_double] = found;
        }
    }
    printf("%d calls, off by at most %.1e (float) and %.1e (double)\n", (int)calls, worst[0],
           worst[1]);
    return 0;
}
