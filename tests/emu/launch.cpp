// launch.cpp: the blocks of a grid, in the order that is asked for; the check that the order does not matter.
#include <omp.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "emu/fibers.h"
#include "emu/memory.h"

namespace emu {
namespace {

using Bytes = std::vector<char>;

Order order_of_environment() {
    const char* text = std::getenv("EMU_ORDER");
    if (!text || !*text) return {};
    Order order;
    order.check = std::strncmp(text, "check:", 6) == 0;
    char* end = nullptr;
    const char* const number = order.check ? text + 6 : text;
    order.seed = std::strtoull(number, &end, 10);
    if (order.seed == 0 || *end) {
        std::fprintf(stderr, "EMU_ORDER: expected a positive number or check:NUMBER, found \"%s\"\n", text);
        std::abort();
    }
    return order;
}

Order& current_order() {
    static Order order = order_of_environment();
    return order;
}

using AtBlockBarrier = std::function<void(size_t block, int barrier, const char* lds)>;

void run_grid(const Launch& launch, const AtBlockBarrier& at_barrier) {
    const size_t n_blocks = size_t(launch.grid.x) * launch.grid.y * launch.grid.z;
    std::vector<size_t> order(n_blocks);
    for (size_t i = 0; i < n_blocks; i++) order[i] = i;
    if (launch.seed != 0) std::shuffle(order.begin(), order.end(), std::mt19937_64(launch.seed));
#pragma omp parallel for schedule(dynamic) if (n_blocks > 1)
    for (size_t i = 0; i < n_blocks; i++) {
        const size_t block = order[i], x = launch.grid.x, y = launch.grid.y;
        const dim3 index(unsigned(block % x), unsigned(block / x % y), unsigned(block / x / y));
        AtBarrier at;
        if (at_barrier) at = [&](int barrier, const char* lds) { at_barrier(block, barrier, lds); };
        run_block(launch, index, at);
    }
}

std::vector<Bytes> contents(const std::map<char*, int64_t>& memory) {
    std::vector<Bytes> copies;
    for (const auto& [data, bytes] : memory) copies.emplace_back(data, data + bytes);
    return copies;
}

size_t first_difference(const char* a, const char* b, size_t bytes) {
    return size_t(std::mismatch(a, a + bytes, b).first - a);
}

void run_in_two_orders(const Launch& ascending, const Launch& random) {
    const auto memory = device_memory();
    const std::vector<Bytes> before = contents(memory);
    std::vector<std::vector<Bytes>> lds_of(size_t(ascending.grid.x) * ascending.grid.y * ascending.grid.z);
    run_grid(ascending,
             [&](size_t block, int, const char* lds) { lds_of[block].emplace_back(lds, lds + ascending.lds_bytes); });
    const std::vector<Bytes> after = contents(memory);
    size_t i = 0;
    for (const auto& [data, bytes] : memory) std::memcpy(data, before[i++].data(), size_t(bytes));

    run_grid(random, [&](size_t block, int barrier, const char* lds) {
        if (size_t(barrier) >= lds_of[block].size()) complain("order: barrier %d is one too many", barrier);
        const size_t at = first_difference(lds, lds_of[block][size_t(barrier)].data(), random.lds_bytes);
        if (at < random.lds_bytes)
            complain("order: LDS byte %zu depends on the order of lanes, seen at barrier %d", at, barrier);
    });
    i = 0;
    for (const auto& [data, bytes] : memory) {
        const size_t at = first_difference(data, after[i++].data(), size_t(bytes));
        if (at < size_t(bytes))
            complain_of(random, "order: device memory depends on the order of lanes: byte %zu of the %lld at %p", at,
                        static_cast<long long>(bytes), static_cast<void*>(data));
    }
}

}  // namespace

Order order() {
    return current_order();
}

void set_order(const Order& order) {
    current_order() = order;
}

void launch(const char* kernel, const dim3& grid, const dim3& block, size_t lds_bytes,
            const std::function<void()>& body, const char* file, int line) {
    const Order order = current_order();
    const Launch random = {kernel, file, line, grid, block, lds_bytes, body, order.seed};
    if (!order.check) {
        run_grid(random, {});
        return;
    }
    Launch ascending = random;
    ascending.seed = 0;
    run_in_two_orders(ascending, random);
}

}  // namespace emu
