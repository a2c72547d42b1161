// Slices of 8 rows: entry e of lane l of slice s at starts[s] + 8 e + l, in column bases[s] + columns[...]; see storage/sell.py.
#define FORM                                                                                                               \
    const S *__restrict__ stored, const I *__restrict__ columns, const P *__restrict__ starts,                            \
        const unsigned int *__restrict__ bases, const unsigned char *__restrict__ places
#define A stored, columns, starts, bases, places
__device__ Index row_of(FORM, Index i) { return i / 64 * 64 + places[i]; }
// Of the row that lane i holds, which is row_of(A, i).
__device__ W row_product(FORM, Index i, const V *__restrict__ x, Index k, Index column) {
    const Index slice = i / 8, base = bases[slice];
    W sum = W();
    for (Index e = starts[slice] + i % 8; e < starts[slice + 1]; e += 8)
        sum = sum + wide(stored[e]) * wide(x[(base + columns[e]) * k + column]);
    return sum;
}
