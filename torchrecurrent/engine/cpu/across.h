/* Operations across the units of a row, and what their gradients pass on: see across.py.
   A result that is the same number for all units is one number. */

/* The largest common one. */
static inline int64_t divisor(int64_t a, int64_t b) {
    while (b) {
        const int64_t rest = a % b;
        a = b, b = rest;
    }
    return a;
}

/* In sixteen partial sums, which a compiler keeps in vector registers. */
static inline real sum_of(int64_t width, const real *from) {
    real parts[16] = {0}, sum = 0;
    int64_t j = 0;
    for (; j + 16 <= width; j += 16)
        for (int64_t k = 0; k < 16; k++) parts[k] += from[j + k];
    for (; j < width; j++) sum += from[j];
    for (int64_t k = 0; k < 16; k++) sum += parts[k];
    return sum;
}

#define ACROSS(name)                                                                           \
    static inline void across_##name(int64_t rows, int64_t width, const real *from,            \
                                     int64_t wide, real *to)

ACROSS(total) {
    (void)wide;
    for (int64_t n = 0; n < rows; n++) to[n] = sum_of(width, from + n * width);
}

ACROSS(total_back) { across_total(rows, width, from, wide, to); }

ACROSS(average) {
    (void)wide;
    for (int64_t n = 0; n < rows; n++) to[n] = sum_of(width, from + n * width) / (real)width;
}

ACROSS(average_back) {
    for (int64_t n = 0; n < rows; n++) to[n] = sum_of(width, from + n * width) / (real)wide;
}

ACROSS(largest) {
    (void)wide;
    for (int64_t n = 0; n < rows; n++, from += width) {
        real most = from[0]; /* or the first that is not a number */
        for (int64_t j = 1; j < width; j++)
            if (from[j] > most || from[j] != from[j]) most = from[j];
        to[n] = most;
    }
}

ACROSS(first) {
    (void)wide;
    for (int64_t n = 0; n < rows; n++) to[n] = from[n * width];
}

ACROSS(first_back) {
    for (int64_t n = 0; n < rows; n++, to += wide) {
        for (int64_t j = 1; j < wide; j++) to[j] = 0;
        to[0] = sum_of(width, from + n * width);
    }
}

ACROSS(rest) {
    for (int64_t n = 0; n < rows; n++)
        for (int64_t j = 0; j < wide; j++) to[n * wide + j] = from[(n + 1) * width - wide + j];
}

ACROSS(rest_back) {
    for (int64_t n = 0; n < rows; n++, to += wide) {
        for (int64_t j = 0; j < wide - width; j++) to[j] = 0;
        for (int64_t j = 0; j < width; j++) to[wide - width + j] = from[n * width + j];
    }
}

ACROSS(grouped) {
    const int64_t times = width / wide;
    for (int64_t k = 0; k < rows * wide; k++) to[k] = sum_of(times, from + k * times);
}

ACROSS(repeated_back) { across_grouped(rows, width, from, wide, to); }

ACROSS(folded) {
    for (int64_t n = 0; n < rows; n++, from += width, to += wide) {
        for (int64_t j = 0; j < wide; j++) to[j] = from[j];
        for (int64_t k = wide; k < width; k += wide)
            for (int64_t j = 0; j < wide; j++) to[j] += from[k + j];
    }
}

ACROSS(tiled_back) { across_folded(rows, width, from, wide, to); }

ACROSS(cumulative) {
    (void)wide;
    for (int64_t n = 0; n < rows; n++, from += width, to += width) {
        double sum = 0; /* as torch, since errors of one sum after the other would add up */
        for (int64_t j = 0; j < width; j++) to[j] = (real)(sum += (double)from[j]);
    }
}

ACROSS(cumulative_back) {
    (void)wide;
    for (int64_t n = 0; n < rows; n++, from += width, to += width) {
        double sum = 0;
        for (int64_t j = width - 1; j >= 0; j--) to[j] = (real)(sum += (double)from[j]);
    }
}
