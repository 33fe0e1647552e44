// responses_store.h: responses that clients want to go on from, in memory.
#pragma once
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

// The items of one turn, each as JSON: what a client sent, then what was answered. A conversation's turns are shared by
// all responses in it.
using ResponseTurn = std::shared_ptr<const std::vector<std::string>>;

// Keeps the newest responses, by their ids. All functions may be called from any thread.
class ResponseStore {
  public:
    explicit ResponseStore(size_t most, size_t most_bytes = size_t(256) << 20) : most_(most), most_bytes_(most_bytes) {}

    // `object` is the whole response as JSON; `turns` are those that led to it, oldest first, its own one last. Forgets
    // the oldest responses if there are now too many.
    void add(const std::string& id, std::string object, std::vector<ResponseTurn> turns);
    std::optional<std::string> object(const std::string& id) const;
    std::optional<std::vector<ResponseTurn>> turns(const std::string& id) const;
    // An item of a response that is kept, as JSON. Its own turn is searched, not those before it.
    std::optional<std::string> item(const std::string& item_id) const;
    bool remove(const std::string& id);  // false if it is not there

  private:
    struct Kept {
        std::string object;
        std::vector<ResponseTurn> turns;
        size_t n_bytes = 0;
    };
    struct Place {
        std::string response_id;
        size_t index = 0;  // in its turn
    };
    void forget(const std::string& id);

    const size_t most_, most_bytes_;
    mutable std::mutex mutex_;
    std::unordered_map<std::string, Kept> kept_;
    std::unordered_map<std::string, Place> items_;
    std::deque<std::string> order_;  // ids, oldest first
    size_t n_bytes_ = 0;
};
