// Compressed sparse rows. S: the type of stored values, I of column indices, P of row pointers.
#define FORM const S *__restrict__ values, const I *__restrict__ indices, const P *__restrict__ indptr
#define A values, indices, indptr
__device__ Index row_of(FORM, Index i) { return i; }
// Entry `column` of row i of A x, x (m, k).
__device__ W row_product(FORM, Index i, const V *__restrict__ x, Index k, Index column) {
    W sum = W();
    for (P e = indptr[i]; e < indptr[i + 1]; e++) sum = sum + wide(values[e]) * wide(x[indices[e] * k + column]);
    return sum;
}
