// serve_checks.h: a server in a thread of its own, on a made-up device that takes each step when the test lets it.
#pragma once
#include <thread>

#include "engine_fakes.h"
#include "harmony_checks.h"
#include "serve/server.h"
#include "serve_client.h"
#include "support/byte_tokenizer.h"
#include "temp_folder.h"
#include "text_checks.h"

// Lets a device's steps through while it is open.
class StepGate {
  public:
    void open(bool is_open = true) {
        const std::lock_guard<std::mutex> lock(mutex_);
        open_ = is_open;
        changed_.notify_all();
    }
    void pass() {
        std::unique_lock<std::mutex> lock(mutex_);
        n_waiting_++;
        changed_.notify_all();
        changed_.wait(lock, [&] { return open_ || n_tickets_ > 0; });
        if (!open_) n_tickets_--;
        n_waiting_--;
        n_passed_++;
    }
    // One more step may pass.
    void step() {
        const std::lock_guard<std::mutex> lock(mutex_);
        n_tickets_++;
        changed_.notify_all();
    }
    // Waits until a step stands before the gate.
    bool has_one_waiting() {
        std::unique_lock<std::mutex> lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return n_waiting_ > 0 && n_tickets_ == 0; });
    }
    int n_passed() {
        const std::lock_guard<std::mutex> lock(mutex_);
        return n_passed_;
    }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = true;
    int n_waiting_ = 0, n_tickets_ = 0, n_passed_ = 0;
};

class RunningServer {
  public:
    RunningServer(const Options& options, const CommonConfig& config, const HttpLimits& limits, Server::Load load)
        : server(options, config, limits, std::move(load)), thread_([this] { run(); }) {}
    ~RunningServer() {
        if (!thread_.joinable()) return;
        server.stop();
        server.stop();
        thread_.join();
    }
    // The exit code.
    int wait() {
        thread_.join();
        return code_;
    }
    // Of one that ends by a failure. Throws it.
    void wait_for_failure() {
        thread_.join();
        if (failure_) std::rethrow_exception(failure_);
    }
    HttpClient client(int receive_bytes = 0) const { return HttpClient(server.port(), receive_bytes); }
    HttpAnswer get(const std::string& path, const std::string& headers = "") const {
        HttpClient c = client();
        c.get(path, headers);
        return c.answer();
    }
    HttpAnswer post(const std::string& path, const std::string& body, const std::string& headers = "") const {
        HttpClient c = client();
        c.post(path, body, headers);
        return c.answer();
    }
    // Waits until /health has this status.
    bool reaches(int status) const {
        for (int i = 0; i < 2000; i++) {
            if (get("/health").status == status) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return false;
    }
    // The value of a metric that has no labels but the model's; -1 if there is none.
    double metric(const std::string& name) const {
        const std::string text = get("/metrics").body, start = "\nvllm:" + name + "{";
        const size_t at = text.find(start);
        return at == std::string::npos ? -1 : std::stod(text.substr(text.find('}', at) + 1));
    }
    // Waits until so many requests run or wait.
    bool has_accepted(int n) const {
        for (int i = 0; i < 2000; i++) {
            if (metric("num_requests_running") + metric("num_requests_waiting") == n) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return false;
    }
    // Waits until n clients were found to have left.
    bool misses(int n) const {
        for (int i = 0; i < 2000; i++) {
            if (get("/metrics").body.find("status=\"499\"} " + std::to_string(n)) != std::string::npos) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return false;
    }
    // Waits until a metric has this value.
    bool reaches(const std::string& name, double value) const {
        for (int i = 0; i < 2000; i++) {
            if (metric(name) == value) return true;
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        return false;
    }

    Server server;

  private:
    void run() {
        try {
            code_ = server.run();
        } catch (...) {
            failure_ = std::current_exception();
        }
    }
    int code_ = -1;
    std::exception_ptr failure_;
    std::thread thread_;
};

// A server on a fake device, with room for `max_sequences` requests at once.
class FakeServer {
  public:
    FakeServer() { options.serve.port = 0; }
    ~FakeServer() { gate.open(); }
    RunningServer& start() {
        running = std::make_unique<RunningServer>(options, config, limits, [this] { return load(); });
        EXPECT_TRUE(running->reaches(200));
        return *running;
    }
    LoadedModel load() {
        std::vector<std::unique_ptr<Replica>> replicas;
        replicas.push_back(std::make_unique<FakeReplica>(
            [this](int step, const Batch& batch) {
                gate.pass();
                if (before_step) before_step(step, batch);
            },
            0, max_sequences, n_pages));
        LoadedModel loaded;
        loaded.codec = std::make_unique<const TextCodec>(byte_tokenizer());
        loaded.engine = std::make_unique<Engine>(config, std::move(replicas));
        loaded.in_flight = max_sequences;
        return loaded;
    }

    Options options;
    HttpLimits limits;
    Config config = fake_config();
    int max_sequences = 4, n_pages = 200;
    FakeReplica::BeforeStep before_step;
    StepGate gate;
    std::unique_ptr<RunningServer> running;  // the last: it uses the others
};

// A completion's body: `n` tokens to a prompt of ids.
inline std::string completion_body(int n, const std::string& more = "", const std::string& prompt = "[1,2,3]") {
    return R"({"prompt": )" + prompt + R"(, "max_tokens": )" + std::to_string(n) + R"(, "ignore_eos": true)" + more +
           "}";
}
