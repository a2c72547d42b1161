"""`petrov bench gpu`: petrov on CuPy beside the bandwidth of the device, cupyx and petrov on the host."""
