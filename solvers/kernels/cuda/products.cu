// Products with a matrix in any form (FORM, A, row_of and row_product come before): y (n, k), x (m, k).

// y = A x
extern "C" __global__ void product(Index n, Index k, FORM, const V *__restrict__ x, V *__restrict__ y) {
    const Share s = share(k);
    EACH_ROW(i, n, s) store(y + row_of(A, i) * k + s.column, row_product(A, i, x, k, s.column));
}

// y = y + A x
extern "C" __global__ void add_product(Index n, Index k, FORM, const V *__restrict__ x, V *__restrict__ y) {
    const Share s = share(k);
    EACH_ROW(i, n, s) {
        V *place = y + row_of(A, i) * k + s.column;
        store(place, wide(*place) + row_product(A, i, x, k, s.column));
    }
}

// r = b - A x; r may be b
extern "C" __global__ void residual(Index n, Index k, FORM, const V *__restrict__ x, const V *b, V *r) {
    const Share s = share(k);
    EACH_ROW(i, n, s) {
        const Index place = row_of(A, i) * k + s.column;
        store(r + place, wide(b[place]) - row_product(A, i, x, k, s.column));
    }
}

// q = A p; Re(p^H q) of every column
extern "C" __global__ void apply_dot(
    Index n, Index k, FORM, const V *__restrict__ p, V *__restrict__ q, double *pq, double *partials, unsigned int *ticket) {
    const Share s = share(k);
    double mine[1] = {0.0}, *out[1] = {pq};
    EACH_ROW(i, n, s) {
        const Index place = row_of(A, i) * k + s.column;
        const W entry = row_product(A, i, p, k, s.column);
        store(q + place, entry);
        mine[0] += along(wide(p[place]), entry);
    }
    total(mine, out, k, partials, ticket);
}
