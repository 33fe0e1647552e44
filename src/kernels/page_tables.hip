// page_tables.hip: changes of the page tables from step to step, and the clearing of pages.
#include "kernels.h"
#include "quad.h"

namespace {

constexpr int kThreads = 256;
constexpr int kQuadsABlock = 8 * kThreads;  // 16-byte quads; with so few, a page takes many blocks and fills the device

__global__ void __launch_bounds__(kThreads) set_entries_kernel(int* table, const PageEntry* entries, int n) {
    const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
    if (i < n) table[entries[i].at] = entries[i].page;
}

__global__ void __launch_bounds__(kThreads)
    clear_kernel(Quad* pool, const int* pages, int64_t page_quads, int blocks_a_page) {
    Quad* const page = pool + pages[int(blockIdx.x) / blocks_a_page] * page_quads;
    const int64_t begin = int64_t(int(blockIdx.x) % blocks_a_page) * kQuadsABlock;
    const int64_t end = begin + kQuadsABlock < page_quads ? begin + kQuadsABlock : page_quads;
    for (int64_t i = begin + int(threadIdx.x); i < end; i += kThreads) page[i] = {};
}

}  // namespace

void set_page_entries(int* table, const PageEntry* entries, int n, gpu::Stream stream) {
    GPU_REQUIRE(n > 0);
    GPU_LAUNCH(set_entries_kernel, dim3(unsigned((n + kThreads - 1) / kThreads)), dim3(kThreads), 0, stream, table,
               entries, n);
}

void clear_pages(void* pool, const int* pages, int n, int64_t page_bytes, gpu::Stream stream) {
    GPU_REQUIRE(n > 0 && page_bytes > 0 && page_bytes % int64_t(sizeof(Quad)) == 0);
    const int64_t page_quads = page_bytes / int64_t(sizeof(Quad));
    const int blocks_a_page = int((page_quads + kQuadsABlock - 1) / kQuadsABlock);
    GPU_LAUNCH(clear_kernel, dim3(unsigned(n * blocks_a_page)), dim3(kThreads), 0, stream, static_cast<Quad*>(pool),
               pages, page_quads, blocks_a_page);
}
