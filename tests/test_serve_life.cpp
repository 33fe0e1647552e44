// test_serve_life.cpp: requests that run: clients that leave in every phase, full queues, slow readers, the end.
#include <sys/resource.h>

#include <algorithm>
#include <atomic>

#include "log.h"
#include "serve_checks.h"

namespace {

class ServeLife : public testing::Test, public FakeServer {
  protected:
    // The engine has no request any more. Steps go on.
    bool is_empty() {
        gate.open();
        return running->reaches("num_requests_running", 0) && running->reaches("num_requests_waiting", 0);
    }
};

// Answers every request with a task of the service's, which waits before the gate.
class TaskServer : public HttpHandler {
  public:
    TaskServer(const Options& options, const CommonConfig& config, LoadedModel loaded, StepGate& gate)
        : loaded_(std::move(loaded)),
          base_(event_base_new(), event_base_free),
          service_(options, config, base_.get()),
          http_(base_.get(), HttpLimits(), *this),
          gate_(gate) {
        service_.set_loaded(&loaded_);
        port = http_.listen("127.0.0.1", 0);
        thread_ = std::thread([this] { event_base_dispatch(base_.get()); });
    }
    ~TaskServer() override {
        gate_.open();
        service_.mailbox.post([this] { event_base_loopbreak(base_.get()); });
        thread_.join();
    }
    void on_head(Exchange&) override {}
    void on_request(const std::shared_ptr<Exchange>& exchange) override {
        service_.compute(exchange, [this](const std::string&, const RequestContext&) {
            gate_.pass();
            return "{}";
        });
        n_asked++;
    }
    void on_bad_request(Exchange&, int, const std::string&) override {}
    void on_end(Exchange& exchange) override { n_gone += exchange.status() == 499; }
    bool is_draining() const override { return false; }
    void fail_all() {
        service_.mailbox.post([this] { service_.fail_all("no more"); });
    }
    static bool reaches(const std::atomic<int>& count, int n) {
        for (int i = 0; i < 2000 && count != n; i++) std::this_thread::sleep_for(std::chrono::milliseconds(10));
        return count == n;
    }

    int port = 0;
    std::atomic<int> n_asked{0}, n_gone{0};

  private:
    LoadedModel loaded_;
    const std::unique_ptr<event_base, void (*)(event_base*)> base_;
    Service service_;
    HttpServer http_;
    StepGate& gate_;
    std::thread thread_;
};

const std::string kStream = R"(, "stream": true)";

TEST_F(ServeLife, AnAnswerAndAStreamOfIt) {
    const RunningServer& server = start();
    const HttpAnswer whole = server.post("/v1/completions", completion_body(5, R"(, "return_token_ids": true)"));
    ASSERT_EQ(whole.status, 200) << whole.body;
    const nlohmann::json choice = whole.json()["choices"][0];
    EXPECT_EQ(choice["token_ids"].size(), 5u);
    EXPECT_EQ(choice["finish_reason"], "length");
    EXPECT_EQ(whole.json()["usage"]["completion_tokens"], 5);
    HttpClient client = server.client();
    client.post("/v1/completions", completion_body(5, kStream + R"(, "return_token_ids": true)"));
    EXPECT_EQ(client.head_of_answer().headers.at("content-type"), "text/event-stream; charset=utf-8");
    const std::vector<std::string> events = client.events();
    ASSERT_GE(events.size(), 2u);
    EXPECT_EQ(events.back(), "[DONE]");
    const nlohmann::json last = nlohmann::json::parse(events[events.size() - 2])["choices"][0];
    EXPECT_EQ(last["token_ids"], choice["token_ids"]);
    EXPECT_EQ(last["finish_reason"], "length");
}

TEST_F(ServeLife, AClientLeavesWhileItsRequestWaits) {
    max_sequences = 1;
    const RunningServer& server = start();
    gate.open(false);
    HttpClient first = server.client();
    first.post("/v1/completions", completion_body(50));
    ASSERT_TRUE(gate.has_one_waiting());
    {
        HttpClient second = server.client(), third = server.client();
        second.post("/v1/completions", completion_body(50));
        third.post("/v1/completions", completion_body(50, kStream));
        EXPECT_EQ(third.head_of_answer().status, 200) << "it was heard";
        ASSERT_TRUE(server.has_accepted(3));
    }
    ASSERT_TRUE(server.misses(2));
    gate.step();
    EXPECT_TRUE(server.has_accepted(1)) << "both have gone";
    gate.open();
    EXPECT_EQ(first.answer().status, 200);
}

TEST_F(ServeLife, AClientLeavesWhileItsPromptIsRead) {
    const RunningServer& server = start();
    gate.open(false);
    std::string prompt = "[1";
    for (int i = 0; i < 300; i++) prompt += ",2";
    HttpClient client = server.client();
    client.post("/v1/completions", completion_body(100, "", prompt + "]"));
    ASSERT_TRUE(gate.has_one_waiting());
    client.close();
    ASSERT_TRUE(server.misses(1));
    const int before = gate.n_passed();
    EXPECT_TRUE(is_empty());
    EXPECT_LE(gate.n_passed(), before + 2) << "the step in progress was the last";
}

TEST_F(ServeLife, AClientLeavesWhileItsAnswerStreams) {
    const RunningServer& server = start();
    gate.open(false);
    HttpClient client = server.client();
    client.post("/v1/completions", completion_body(400, kStream));
    for (int i = 0; i < 4; i++) {
        ASSERT_TRUE(gate.has_one_waiting());
        gate.step();
    }
    ASSERT_TRUE(gate.has_one_waiting());
    client.close();
    ASSERT_TRUE(server.misses(1));
    const int before = gate.n_passed();
    EXPECT_TRUE(is_empty());
    EXPECT_LE(gate.n_passed(), before + 2);
}

TEST_F(ServeLife, AClientLeavesAnAnswerThatIsNotWrittenYet) {
    for (const bool half : {false, true}) {
        const RunningServer& server = start();
        gate.open(false);
        HttpClient client = server.client();
        client.post("/v1/completions", completion_body(400));
        for (int i = 0; i < 4; i++) {
            ASSERT_TRUE(gate.has_one_waiting());
            gate.step();
        }
        ASSERT_TRUE(gate.has_one_waiting());
        half ? client.half_close() : client.close();
        ASSERT_TRUE(server.misses(1));
        const int before = gate.n_passed();
        EXPECT_TRUE(is_empty());
        EXPECT_LE(gate.n_passed(), before + 2) << (half ? "half-closed" : "closed");
        running.reset();
    }
}

TEST_F(ServeLife, AClientThatHasSentMuchAheadIsMissedToo) {
    limits.body_bytes = 500'000;
    const RunningServer& server = start();
    gate.open(false);
    HttpClient client = server.client(), flood = server.client();
    client.post("/v1/completions", completion_body(400));
    ASSERT_TRUE(gate.has_one_waiting());
    client.send(std::string(300'000, ' '));
    client.close();
    ASSERT_TRUE(server.misses(1));
    flood.post("/v1/completions", completion_body(400));
    ASSERT_TRUE(server.has_accepted(2)) << "the first one waits for the end of its step";
    flood.send(std::string(1'000'000, ' '));
    ASSERT_TRUE(server.misses(2)) << "more than a request";
    const int before = gate.n_passed();
    EXPECT_TRUE(is_empty());
    EXPECT_LE(gate.n_passed(), before + 2);
}

TEST_F(ServeLife, AFullQueue) {
    max_sequences = 1;
    options.serve.queue = 2;
    const RunningServer& server = start();
    gate.open(false);
    std::vector<HttpClient> clients;
    for (int i = 0; i < 3; i++) {
        clients.push_back(server.client());
        clients.back().post("/v1/completions", completion_body(2));
    }
    ASSERT_TRUE(server.has_accepted(3));
    const HttpAnswer refused = server.post("/v1/completions", completion_body(2));
    EXPECT_EQ(refused.status, 429);
    EXPECT_EQ(refused.headers.at("retry-after"), "1");
    EXPECT_EQ(refused.json()["error"]["code"], "queue_full");
    EXPECT_EQ(server.get("/health").status, 200);
    gate.open();
    for (HttpClient& client : clients) EXPECT_EQ(client.answer().status, 200);
    EXPECT_TRUE(server.reaches("num_requests_waiting", 0));
    EXPECT_EQ(server.post("/v1/completions", completion_body(2)).status, 200);
}

TEST_F(ServeLife, TasksBesideTheEngineFillTheQueueTooAndGoWithTheirClients) {
    max_sequences = 1;
    options.serve.queue = 2;
    TaskServer server(options, config, load(), gate);
    gate.open(false);
    HttpClient first(server.port), refused(server.port), last(server.port);
    first.post("/", "");
    ASSERT_TRUE(gate.has_one_waiting());
    {
        HttpClient second(server.port), third(server.port);
        second.post("/", "");
        third.post("/", "");
        ASSERT_TRUE(server.reaches(server.n_asked, 3));
        refused.post("/", "");
        ASSERT_TRUE(server.reaches(server.n_asked, 4));
        EXPECT_EQ(refused.answer().status, 429);
    }
    ASSERT_TRUE(server.reaches(server.n_gone, 2));
    gate.open();
    EXPECT_EQ(first.answer().status, 200);
    last.post("/", "");
    EXPECT_EQ(last.answer().status, 200);
    EXPECT_EQ(gate.n_passed(), 2) << "nothing was computed for clients that had left";
}

TEST_F(ServeLife, TasksBesideTheEngineAreNotWaitedForInTheEnd) {
    TaskServer server(options, config, load(), gate);
    gate.open(false);
    HttpClient first(server.port), second(server.port);
    first.post("/", "");
    second.post("/", "");
    ASSERT_TRUE(gate.has_one_waiting());
    ASSERT_TRUE(server.reaches(server.n_asked, 2));
    server.fail_all();
    EXPECT_EQ(first.answer().status, 500);
    EXPECT_EQ(second.answer().status, 500);
    gate.open();
    first.post("/", "");
    EXPECT_EQ(first.answer().status, 200);
    EXPECT_EQ(gate.n_passed(), 2);
}

TEST_F(ServeLife, RequestsBeginInTheOrderInWhichTheyCome) {
    max_sequences = 1;
    const RunningServer& server = start();
    gate.open(false);
    std::vector<HttpClient> clients;
    for (const int n : {1, 1, 3}) {  // the longest last
        clients.push_back(server.client());
        clients.back().post("/v1/completions", completion_body(n));
        ASSERT_TRUE(server.has_accepted(int(clients.size())));
    }
    for (int i = 0; i < 2; i++) {  // as long as the first two take
        ASSERT_TRUE(gate.has_one_waiting());
        gate.step();
    }
    EXPECT_EQ(clients[0].answer().status, 200);
    EXPECT_EQ(clients[1].answer().status, 200);
    gate.open();
    EXPECT_EQ(clients[2].answer().status, 200);
}

TEST_F(ServeLife, AReaderThatSleepsIsGivenUp) {
    options.serve.names = {std::string(2000, 'm')};  // so that each chunk is long
    limits.stalled_bytes = 10'000;
    limits.stalled_s = 0.3;
    limits.send_buffer_bytes = 4096;
    const RunningServer& server = start();
    gate.open(false);
    HttpClient client = server.client(/*receive_bytes=*/4096);
    client.post("/v1/completions", completion_body(400, kStream));
    for (int i = 0; i < 300; i++) {
        ASSERT_TRUE(gate.has_one_waiting());
        gate.step();
    }
    ASSERT_TRUE(server.misses(1));
    EXPECT_TRUE(is_empty());
    EXPECT_EQ(client.head_of_answer().status, 200);
    const std::vector<std::string> events = client.events();
    EXPECT_TRUE(events.empty() || events.back() != "[DONE]") << "it was cut off";
}

TEST_F(ServeLife, SilentStreamsSayThatTheyAreAlive) {
    limits.ping_s = 0.1;
    const RunningServer& server = start();
    gate.open(false);
    HttpClient client = server.client();
    client.post("/v1/completions", completion_body(2, kStream));
    EXPECT_EQ(client.head_of_answer().status, 200);
    std::string piece;
    ASSERT_TRUE(client.next_chunk(piece));
    EXPECT_EQ(piece, ": ping\n\n");
    gate.open();
    EXPECT_EQ(client.events().back(), "[DONE]");
}

TEST_F(ServeLife, ADeviceThatFails) {
    before_step = [](int step, const Batch&) {
        if (step == 3) throw Error("the device has gone");
    };
    start();
    gate.open(false);
    HttpClient client = running->client(), whole = running->client();
    client.post("/v1/completions", completion_body(50, kStream));
    whole.post("/v1/completions", completion_body(50));
    ASSERT_TRUE(running->has_accepted(2));
    gate.open();
    EXPECT_EQ(client.head_of_answer().status, 200);
    const std::vector<std::string> events = client.events();
    ASSERT_FALSE(events.empty());
    EXPECT_TRUE(nlohmann::json::parse(events.back()).contains("error")) << events.back();
    EXPECT_GE(whole.answer().status, 500);
    EXPECT_THROW(running->wait_for_failure(), Error);
}

TEST_F(ServeLife, DrainsWhatRunsAndWhatWaits) {
    max_sequences = 2;
    options.grace_s = 20;
    RunningServer& server = start();
    gate.open(false);
    std::vector<HttpClient> clients;
    for (int i = 0; i < 6; i++) {
        clients.push_back(server.client());
        clients.back().post("/v1/completions", completion_body(20, i % 2 ? kStream : ""));
    }
    HttpClient idle = server.client(), late = server.client();
    late.get("/health");
    EXPECT_EQ(late.answer().status, 200);
    late.send("GET /health HTTP/1.1\r\n");
    ASSERT_TRUE(server.has_accepted(6));
    server.server.stop();
    EXPECT_TRUE(idle.is_closed());
    HttpClient refused = server.client();
    gate.open();
    for (size_t i = 0; i < clients.size(); i++) {
        if (i % 2 == 0) {
            EXPECT_EQ(clients[i].answer().status, 200);
        } else {
            EXPECT_EQ(clients[i].head_of_answer().status, 200);
            EXPECT_EQ(clients[i].events().back(), "[DONE]");
        }
    }
    EXPECT_EQ(server.wait(), 0);
    EXPECT_FALSE(refused.connected() && refused.answer().status != 0);
}

TEST_F(ServeLife, WhatIsNotDoneWhenTheGraceIsOverGetsAnError) {
    options.grace_s = 0.2f;
    RunningServer& server = start();
    gate.open(false);
    HttpClient stream = server.client(), whole = server.client();
    stream.post("/v1/completions", completion_body(400, kStream));
    whole.post("/v1/completions", completion_body(400));
    EXPECT_EQ(stream.head_of_answer().status, 200);
    ASSERT_TRUE(gate.has_one_waiting());
    server.server.stop();
    const std::vector<std::string> events = stream.events();
    ASSERT_FALSE(events.empty());
    EXPECT_EQ(nlohmann::json::parse(events.back())["error"]["type"], "unavailable");
    EXPECT_EQ(whole.answer().status, 503);
    gate.open();
    EXPECT_EQ(server.wait(), 0);
}

TEST_F(ServeLife, ASecondSignalEndsItAtOnce) {
    options.grace_s = 1000;
    RunningServer& server = start();
    gate.open(false);
    HttpClient stream = server.client();
    stream.post("/v1/completions", completion_body(400, kStream));
    EXPECT_EQ(stream.head_of_answer().status, 200);
    ASSERT_TRUE(gate.has_one_waiting());
    server.server.stop();
    server.server.stop();
    EXPECT_FALSE(stream.events().empty());
    gate.open();
    EXPECT_EQ(server.wait(), kExitRequestFailed);
}

// Two cores, so many clients: the process's memory grows by little.
TEST_F(ServeLife, AThousandStreamsThatWait) {
    rlimit files{};
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_max < 2200) GTEST_SKIP() << "only " << files.rlim_max << " files may be open";
    constexpr int kStreams = 1000;
    options.serve.queue = kStreams;
    const RunningServer& server = start();
    gate.open(false);
    const auto resident_kb = [] {
        long pages = 0, resident = 0;
        std::FILE* const file = std::fopen("/proc/self/statm", "r");
        EXPECT_EQ(std::fscanf(file, "%ld %ld", &pages, &resident), 2);
        std::fclose(file);
        return resident * 4;
    };
    const long before_kb = resident_kb();
    std::vector<HttpClient> clients;
    for (int i = 0; i < kStreams; i++) {
        clients.push_back(server.client());
        clients.back().post("/v1/completions", completion_body(3, kStream));
        ASSERT_EQ(clients.back().head_of_answer().status, 200) << i;
    }
    RecordProperty("kilobytes", int(resident_kb() - before_kb));
#ifndef SANITIZED
    EXPECT_LT(resident_kb() - before_kb, 20'000);
#endif
    gate.open();
    for (HttpClient& client : clients) ASSERT_EQ(client.events().back(), "[DONE]");
    EXPECT_TRUE(server.reaches("num_requests_running", 0));
}

}  // namespace
