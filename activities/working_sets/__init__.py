"""The compiler: retrieval, fusion, diversity, packing, explaining; and compiling again what is stored."""
