// runtime.cpp: gpu/runtime.h for the emulation: device memory is the host's, and all is done when it is asked for. Of
// several devices one at a time does something, and the others' memory is closed meanwhile.
#include "gpu/runtime.h"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "emu/hip_runtime.h"
#include "emu/lazy_memory.h"
#include "emu/memory.h"

namespace {

using Clock = std::chrono::steady_clock;

constexpr int64_t kMemoryBytes = int64_t(16) << 30;  // of each device; EMU_MEMORY: other bytes

int64_t number_of_environment(const char* name, int64_t otherwise) {
    const char* const text = std::getenv(name);
    return text && *text ? std::strtoll(text, nullptr, 10) : otherwise;
}

// EMU_DEVICES=3: three of them. EMU_PEERS=0: none copies straight to another.
int n_devices() {
    return int(number_of_environment("EMU_DEVICES", 1));
}
int64_t memory_bytes() {
    return number_of_environment("EMU_MEMORY", kMemoryBytes);
}

// EMU_FAIL=1:rmsnorm:5: device 1 fails at its launch number 5, from 0, of kernels in a file of that name, and then at
// everything. Launches are counted anew when the variable changes.
class Fault {
  public:
    void launch(const emu::Site& site, int device) {
        const std::lock_guard lock(mutex_);
        if (!arm() || device != device_ || !std::strstr(site.file, file_.c_str())) return;
        broken_ = broken_ || n_launched_++ == at_;
        if (broken_) gpu::device_failed(site.kernel, "an emulated fault");
    }
    void call(const char* what, int device) {
        const std::lock_guard lock(mutex_);
        if (arm() && broken_ && device == device_) gpu::device_failed(what, "an emulated fault");
    }

  private:
    // Whether there is one.
    bool arm() {
        const char* const text = std::getenv("EMU_FAIL");
        if (text_ == (text ? text : "")) return !text_.empty();
        text_ = text ? text : "";
        broken_ = false;
        n_launched_ = 0;
        char file[32] = "";
        if (!text_.empty() && std::sscanf(text, "%d:%31[a-z_]:%d", &device_, file, &at_) != 3) {
            std::fprintf(stderr, "EMU_FAIL: expected device:file:number, found \"%s\"\n", text);
            std::abort();
        }
        file_ = file;
        return !text_.empty();
    }

    std::mutex mutex_;
    std::string text_, file_;
    int device_ = 0, at_ = 0, n_launched_ = 0;
    bool broken_ = false;
};
Fault& fault() {
    static Fault f;
    return f;
}

struct Block {
    int64_t bytes;
    int device;
    std::unique_ptr<emu::LazyMemory> memory;
};
struct Memory {
    std::recursive_mutex mutex;
    std::map<char*, Block> blocks;
    std::map<int, int64_t> used;  // by device
    int open = -1;                // the one device whose memory can be touched; -1: all
    emu::Site site = {"", "", 0};
};
Memory& memory() {
    static Memory m;
    return m;
}
thread_local int current_device = 0;

[[noreturn]] void die(const char* what) {
    std::fprintf(stderr, "emu: %s\n", what);
    std::abort();
}

void on_segv(int signal, siginfo_t* info, void*) {
    const char* const at = static_cast<char*>(info->si_addr);
    for (const auto& [data, block] : memory().blocks)
        if (at >= data && at < data + block.bytes) {
            std::fprintf(stderr, "emu: %s:%d: %s: device %d touches memory of device %d\n", memory().site.file,
                         memory().site.line, memory().site.kernel, memory().open, block.device);
            std::abort();
        }
    std::signal(signal, SIG_DFL);
}

// The memory of one device, or (-1) of all can be touched from here on.
void open_device(int device) {
    Memory& m = memory();
    if (m.open == device) return;
    if (m.open < 0) {
        struct sigaction action = {};
        action.sa_sigaction = on_segv;
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGSEGV, &action, nullptr);
    }
    for (const auto& entry : m.blocks) entry.second.memory->open(device < 0 || entry.second.device == device);
    m.open = device;
}

// A stream, and whose it is.
struct Queue {
    int device;
};
struct Moment {
    int device;  // only its own streams may record it
    Clock::time_point at;
};

// The allocation that p lies in.
const Block& block_of(const void* p, const char* what) {
    const auto after = memory().blocks.upper_bound(static_cast<char*>(const_cast<void*>(p)));
    if (after != memory().blocks.begin()) {
        const auto& [data, block] = *std::prev(after);
        if (static_cast<const char*>(p) < data + block.bytes) return block;
    }
    die(what);
}
int owner(const void* p, const char* what) {
    return block_of(p, what).device;
}

// From here on all memory can be touched, or at least what p points to: a copy knows whose it copies. To close a
// device's memory and to open it takes long, so nothing is done without need.
std::unique_lock<std::recursive_mutex> open_all() {
    std::unique_lock lock(memory().mutex);
    open_device(-1);
    return lock;
}
std::unique_lock<std::recursive_mutex> open_for(const void* p) {
    std::unique_lock lock(memory().mutex);
    if (memory().open >= 0 && owner(p, "a copy to or from no device memory") != memory().open) open_device(-1);
    return lock;
}

// EMU_GROUPS=0: an older device of the same maker.
bool has_wave_groups() {
    const char* const groups = std::getenv("EMU_GROUPS");
    return std::strcmp(emu::kTarget, "SM80") == 0 && !(groups && std::strcmp(groups, "0") == 0);
}

}  // namespace

std::map<char*, int64_t> emu::device_memory() {
    const std::lock_guard lock(memory().mutex);
    std::map<char*, int64_t> own;
    for (const auto& [data, block] : memory().blocks)
        if (block.device == current_device) own[data] = block.bytes;
    return own;
}

emu::OnDevice::OnDevice(const Site& site, void* stream) {
    fault().launch(site, current_device);
    if (n_devices() == 1) return;
    lock_ = std::unique_lock(memory().mutex);
    if (stream && static_cast<Queue*>(stream)->device != current_device)
        die("a kernel on a stream of another device than the current one");
    memory().site = site;
    open_device(current_device);
}

namespace gpu {

void device_failed(const char* what, const char* status) {
    throw DeviceError(current_device, std::string(what) + ": " + status);
}

int device_count() {
    return n_devices();
}

void set_device(int device) {
    if (device < 0 || device >= n_devices()) die("no such device");
    current_device = device;
    fault().call("set_device", device);
}

void try_set_device(int device) noexcept {
    if (device >= 0 && device < n_devices()) current_device = device;
}

DeviceInfo device_info(int device) {
    const std::lock_guard lock(memory().mutex);
    DeviceInfo info;
    info.name = info.target = std::string("emulated ") + emu::kTarget;
    info.wave = emu::kWaveLanes;
    info.wave_groups = has_wave_groups();
    info.n_units = 4;
    info.free_bytes = memory_bytes() - memory().used[device];
    return info;
}

std::string unusable(int) {
    return {};
}

void* try_allocate(int64_t bytes) {
    const auto lock = open_all();
    int64_t& used = memory().used[current_device];
    if (bytes > memory_bytes() - used) return nullptr;
    auto block = std::make_unique<emu::LazyMemory>(size_t(bytes));
    char* const data = block->data();
    memory().blocks[data] = {bytes, current_device, std::move(block)};
    used += bytes;
    return data;
}

void release(void* device_memory) noexcept {
    if (!device_memory) return;
    const auto lock = open_all();
    const auto found = memory().blocks.find(static_cast<char*>(device_memory));
    if (found == memory().blocks.end()) die("release of what is no device memory, or twice");
    memory().used[found->second.device] -= found->second.bytes;
    memory().blocks.erase(found);
}

void* allocate_pinned(int64_t bytes) {
    return std::malloc(size_t(bytes));
}

void release_pinned(void* host_memory) noexcept {
    std::free(host_memory);
}

void copy_to_device(void* device_to, const void* host_from, int64_t bytes, Stream) {
    fault().call("copy_to_device", current_device);
    const auto lock = open_for(device_to);
    if (bytes > 0) std::memcpy(device_to, host_from, size_t(bytes));
}

void copy_to_host(void* host_to, const void* device_from, int64_t bytes, Stream) {
    fault().call("copy_to_host", current_device);
    const auto lock = open_for(device_from);
    if (bytes > 0) std::memcpy(host_to, device_from, size_t(bytes));
}

void copy_on_device(void* device_to, const void* device_from, int64_t bytes, Stream) {
    const auto lock = open_for(device_to);
    if (owner(device_to, "a copy to no device memory") != owner(device_from, "a copy from no device memory"))
        die("a copy on a device touches two");
    if (bytes > 0) std::memmove(device_to, device_from, size_t(bytes));
}

bool open_peers(int, int) {
    return number_of_environment("EMU_PEERS", 1) != 0;
}

void copy_to_peer(void* to, int to_device, const void* from, int from_device, int64_t bytes, Stream) {
    const auto lock = open_all();
    if (number_of_environment("EMU_PEERS", 1) == 0) die("a copy to a device that is no peer");
    if (owner(to, "a copy to no device memory") != to_device ||
        owner(from, "a copy from no device memory") != from_device)
        die("a copy to a peer: the memory is another device's");
    if (bytes > 0) std::memcpy(to, from, size_t(bytes));
}

void fill(void* device_memory, int byte, int64_t bytes, Stream) {
    const auto lock = open_for(device_memory);
    if (bytes <= 0) return;
    if (byte == 0)
        block_of(device_memory, "a fill of no device memory")
            .memory->zero(static_cast<char*>(device_memory), size_t(bytes));
    else
        std::memset(device_memory, byte, size_t(bytes));
}

// Handles that ASan can see the end of.
Stream make_stream() {
    return new Queue{current_device};
}
void destroy_stream(Stream stream) noexcept {
    delete static_cast<Queue*>(stream);
}
void synchronize(Stream) {
    fault().call("synchronize", current_device);
}
void leave(Stream) noexcept {}

Event make_event() {
    return new Moment{current_device, {}};
}
void destroy_event(Event event) noexcept {
    delete static_cast<Moment*>(event);
}
void record(Event event, Stream stream) {
    Moment& moment = *static_cast<Moment*>(event);
    if (moment.device != (stream ? static_cast<Queue*>(stream)->device : current_device))
        die("an event is recorded on a stream of another device than its own");
    moment.at = Clock::now();
}
void wait_for(Event) {
    fault().call("wait_for", current_device);
}
void wait_for(Event, Stream) {}
float elapsed_ms(Event from, Event to) {
    const Moment &begin = *static_cast<Moment*>(from), &end = *static_cast<Moment*>(to);
    if (begin.device != end.device) die("time between events of two devices");
    return std::chrono::duration<float, std::milli>(end.at - begin.at).count();
}

bool graphs_supported() {
    return false;
}
void begin_capture(Stream) {
    std::fprintf(stderr, "emu: no graphs\n");
    std::abort();
}
Graph end_capture(Stream) {
    return nullptr;
}
void launch_graph(Graph, Stream) {}
void destroy_graph(Graph) noexcept {}

void allow_lds(const void*, size_t) {}

}  // namespace gpu
