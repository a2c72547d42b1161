// Bands: bands[d * n + i] = A[i, i + offsets[d]]; of a Hermitian matrix those at offsets >= 0 alone, which serve both sides.
#define FORM const S *__restrict__ bands, const Index *__restrict__ offsets, Index count, Index hermitian, Index size
#define A bands, offsets, count, hermitian, size
__device__ Index row_of(FORM, Index i) { return i; }
__device__ W row_product(FORM, Index i, const V *__restrict__ x, Index k, Index column) {
    W sum = W();
    for (Index d = 0; d < count; d++) {
        const Index offset = offsets[d], there = i + offset, back = i - offset;
        if (there >= 0 && there < size) sum = sum + wide(bands[d * size + i]) * wide(x[there * k + column]);
        if (hermitian && offset > 0 && back >= 0)
            sum = sum + conjugate(wide(bands[d * size + back])) * wide(x[back * k + column]);
    }
    return sum;
}
