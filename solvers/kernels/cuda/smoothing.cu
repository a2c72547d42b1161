// Steps of a Chebyshev or Jacobi iteration for A x = b, A in any form (as in products.cu); d (n,), of type D, inverts a diagonal.

// y = c d b: the first step from zero, which needs no product
extern "C" __global__ void first_step(Index n, Index k, double c, const D *__restrict__ d, const V *__restrict__ b, V *__restrict__ y) {
    const Share s = share(k);
    EACH_ROW(i, n, s) store(y + i * k + s.column, c * wide(d[i]) * wide(b[i * k + s.column]));
}

// y = x + c (x - y) + e d (b - A x): y holds the iterate before x and becomes the one after. Where there is none before (`known` is
// 0), y is not read and zero takes its place.
extern "C" __global__ void next_step(
    Index n, Index k, FORM, Index known, double c, double e, const D *__restrict__ d, const V *__restrict__ b,
    const V *__restrict__ x, V *y) {
    const Share s = share(k);
    EACH_ROW(i, n, s) {
        const Index row = row_of(A, i), place = row * k + s.column;
        const W left = wide(b[place]) - row_product(A, i, x, k, s.column);
        W next = (1.0 + c) * wide(x[place]) + e * wide(d[row]) * left;
        if (known) next = next - c * wide(y[place]);
        store(y + place, next);
    }
}
