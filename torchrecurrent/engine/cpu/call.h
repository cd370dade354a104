/* What the products and the kernels of the cells, compiled apart, have in common. */
#include <stdint.h>

/* One call of a function that threads share: each does every so manieth slice. Who runs the
   threads says which a thread is, by a function or by numbers. */
typedef struct {
    int (*number)(void), (*threads)(void);
    int64_t first, stride, count;
    void *arguments;
} call_t;
#define FOR_SLICES(call)                                                   \
    for (int64_t slice = (call)->number ? (call)->number() : (call)->first, \
                 by = (call)->threads ? (call)->threads() : (call)->stride; \
         slice < (call)->count; slice += by)

/* blocks() of gemm.c */
typedef void blocks_t(int packed, int64_t count, int64_t rows, int64_t columns, int64_t inner,
                      const real *a, int64_t lda, const real *kernel, int add, real *c,
                      int64_t ldc);
