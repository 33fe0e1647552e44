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
    if (std::strcmp(text, "check") == 0) return {Turns::kCheck};
    char* end = nullptr;
    const Order order = {Turns::kRandom, std::strtoull(text, &end, 10)};
    if (*end) {
        std::fprintf(stderr, "EMU_ORDER: expected a number or check, found \"%s\"\n", text);
        std::abort();
    }
    return order;
}

Order& current_order() {
    static Order order = order_of_environment();
    return order;
}

using AtBlockBarrier = std::function<void(size_t block, int barrier, const char* lds)>;

// parallel: several blocks at once, so that the order of blocks is only about the one asked for.
void run_blocks(const Launch& launch, bool parallel, const AtBlockBarrier& at_barrier) {
    const size_t n_blocks = size_t(launch.grid.x) * launch.grid.y * launch.grid.z;
    std::vector<size_t> order(n_blocks);
    for (size_t i = 0; i < n_blocks; i++) order[i] = i;
    if (launch.order.turns == Turns::kDescending) std::reverse(order.begin(), order.end());
    if (launch.order.turns == Turns::kRandom)
        std::shuffle(order.begin(), order.end(), std::mt19937_64(launch.order.seed));
#pragma omp parallel for schedule(dynamic) if (parallel && n_blocks > 1)
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

void run_in_two_orders(const Launch& ascending, const Launch& descending) {
    const auto memory = device_memory();
    const std::vector<Bytes> before = contents(memory);
    std::vector<std::vector<Bytes>> lds_of(size_t(ascending.grid.x) * ascending.grid.y * ascending.grid.z);
    run_blocks(ascending, false,
               [&](size_t block, int, const char* lds) { lds_of[block].emplace_back(lds, lds + ascending.lds_bytes); });
    const std::vector<Bytes> after = contents(memory);
    size_t i = 0;
    for (const auto& [data, bytes] : memory) std::memcpy(data, before[i++].data(), size_t(bytes));

    run_blocks(descending, false, [&](size_t block, int barrier, const char* lds) {
        if (size_t(barrier) >= lds_of[block].size()) complain("order: barrier %d is one too many", barrier);
        const size_t at = first_difference(lds, lds_of[block][size_t(barrier)].data(), descending.lds_bytes);
        if (at < descending.lds_bytes)
            complain("order: LDS byte %zu depends on the order of lanes, seen at barrier %d", at, barrier);
    });
    i = 0;
    for (const auto& [data, bytes] : memory) {
        const size_t at = first_difference(data, after[i++].data(), size_t(bytes));
        if (at < size_t(bytes))
            complain_of(descending, "order: device memory depends on the order of lanes: byte %zu of the %lld at %p",
                        at, static_cast<long long>(bytes), static_cast<void*>(data));
    }
}

}  // namespace

Order order() {
    return current_order();
}

void set_order(const Order& order) {
    current_order() = order;
}

void run_grid(const Site& site, void* stream, const dim3& grid, const dim3& block, size_t lds_bytes,
              const std::function<void()>& body) {
    const OnDevice on_device(site, stream);
    const Order order = current_order();
    const auto in = [&](const Order& o) { return Launch{site, grid, block, lds_bytes, body, o}; };
    if (order.turns == Turns::kCheck)
        run_in_two_orders(in({Turns::kAscending}), in({Turns::kDescending}));
    else
        run_blocks(in(order), true, {});
}

}  // namespace emu
