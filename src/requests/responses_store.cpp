// responses_store.cpp: keeps responses and finds their items; the oldest go first.
#include "requests/responses_store.h"

#include <algorithm>

#include "base/json_fields.h"

namespace {

// "" if the item has none.
std::string id_of(const std::string& item) {
    return JsonFields(parse_json(item, "item"), "item").text("id").value_or("");
}

}  // namespace

void ResponseStore::add(const std::string& id, std::string object, std::vector<ResponseTurn> turns) {
    const std::lock_guard lock(mutex_);
    Kept kept{std::move(object), std::move(turns), 0};
    kept.n_bytes = kept.object.size();
    const std::vector<std::string>& items = *kept.turns.back();
    for (size_t i = 0; i < items.size(); i++) {
        kept.n_bytes += items[i].size();
        if (const std::string item_id = id_of(items[i]); !item_id.empty()) items_[item_id] = {id, i};
    }
    n_bytes_ += kept.n_bytes;
    kept_.emplace(id, std::move(kept));
    order_.push_back(id);
    while (!order_.empty() && (kept_.size() > most_ || n_bytes_ > most_bytes_)) {
        forget(order_.front());
        order_.pop_front();
    }
}

// Does nothing if it is forgotten already. An item that a later turn has too, stays findable there.
void ResponseStore::forget(const std::string& id) {
    const auto found = kept_.find(id);
    if (found == kept_.end()) return;
    for (const std::string& item : *found->second.turns.back())
        if (const auto at = items_.find(id_of(item)); at != items_.end() && at->second.response_id == id)
            items_.erase(at);
    n_bytes_ -= found->second.n_bytes;
    kept_.erase(found);
}

std::optional<std::string> ResponseStore::object(const std::string& id) const {
    const std::lock_guard lock(mutex_);
    const auto found = kept_.find(id);
    if (found == kept_.end()) return {};
    return found->second.object;
}

std::optional<std::vector<ResponseTurn>> ResponseStore::turns(const std::string& id) const {
    const std::lock_guard lock(mutex_);
    const auto found = kept_.find(id);
    if (found == kept_.end()) return {};
    return found->second.turns;
}

std::optional<std::string> ResponseStore::item(const std::string& item_id) const {
    const std::lock_guard lock(mutex_);
    const auto found = items_.find(item_id);
    if (found == items_.end()) return {};
    return kept_.at(found->second.response_id).turns.back()->at(found->second.index);
}

bool ResponseStore::remove(const std::string& id) {
    const std::lock_guard lock(mutex_);
    const bool is_there = kept_.count(id) > 0;
    forget(id);
    order_.erase(std::remove(order_.begin(), order_.end(), id), order_.end());
    return is_there;
}
