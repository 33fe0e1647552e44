// header_automaton.cpp: the headers that an answer may have, as a tree of ids. Each is encoded as the model was taught
// to write it: text between special tokens as one piece.
#include "harmony.h"
#include "text/harmony/words.h"

HeaderAutomaton::HeaderAutomaton(const Tokenizer& tokenizer, const HeaderRules& rules)
    : tokens_(tokenizer), must_call_(rules.must_call && !rules.tools.empty()) {
    add_node();  // kFree
    any_ = call_ = add_headers(tokenizer, rules.tools, /*reasoning=*/true, /*text=*/true);
    at_ = any_;
    if (must_call_) {
        call_ = add_headers(tokenizer, rules.tools, /*reasoning=*/false, /*text=*/false);
        at_ = rules.may_reason ? add_headers(tokenizer, rules.tools, /*reasoning=*/true, /*text=*/false) : call_;
    }
    start_any_ = add_start(tokenizer, any_);
    start_call_ = add_start(tokenizer, call_);
    start_or_end_ = add_start(tokenizer, any_);
    if (tokens_.done) nodes_[size_t(start_or_end_)].next[*tokens_.done] = start_any_;
    for (Node& node : nodes_) {
        if (node.next.empty()) continue;
        std::vector<int> ids;
        for (const auto& [id, to] : node.next) ids.push_back(id);
        node.allowed = std::make_shared<const std::vector<int>>(std::move(ids));
    }
}

int HeaderAutomaton::add_node() {
    nodes_.emplace_back();
    return int(nodes_.size()) - 1;
}

// Makes a path of ids. Returns its end.
int HeaderAutomaton::add_path(int from, const std::vector<int>& ids) {
    for (const int id : ids) {
        const auto [it, is_new] = nodes_[size_t(from)].next.try_emplace(id, int(nodes_.size()));
        from = it->second;
        if (is_new) add_node();
    }
    return from;
}

// A tree of the headers that may follow the role. Returns its root.
int HeaderAutomaton::add_headers(const Tokenizer& tokenizer, const std::vector<std::string>& tools, bool reasoning,
                                 bool text) {
    const int root = add_node();
    const auto add = [&](const std::vector<std::vector<int>>& pieces, Opens opens) {
        int end = root;
        for (const std::vector<int>& piece : pieces) end = add_path(end, piece);
        nodes_[size_t(add_path(end, {tokens_.message}))].opens = opens;
    };
    const std::vector<int> channel{tokens_.channel}, constrain{tokens_.constrain};
    if (reasoning) add({channel, tokenizer.encode("analysis")}, kReasoning);
    if (text) add({channel, tokenizer.encode("final")}, kFinal);
    if (text) add({channel, tokenizer.encode("commentary")}, kPreamble);
    for (const std::string& tool : tools) {
        const std::string to = " to=" + std::string(kFunctions) + tool;
        const std::vector<int> json = tokenizer.encode("json");
        add({channel, tokenizer.encode("commentary" + to + " "), constrain, json}, kCall);
        add({tokenizer.encode(to), channel, tokenizer.encode("commentary "), constrain, json}, kCall);
    }
    return root;
}

// `<|start|>` and the role before headers.
int HeaderAutomaton::add_start(const Tokenizer& tokenizer, int headers) {
    const int root = add_node();
    std::vector<int> role = tokenizer.encode(role_word(Role::kAssistant));
    const int last = role.back();
    role.pop_back();
    const int end = add_path(add_path(root, {tokens_.start}), role);
    nodes_[size_t(end)].next[last] = headers;
    return root;
}

int HeaderAutomaton::follow(int node, int id) const {
    const auto it = nodes_[size_t(node)].next.find(id);
    return it == nodes_[size_t(node)].next.end() ? kFree : it->second;
}

void HeaderAutomaton::feed(int id) {
    const int start = owes_call() ? start_call_ : has_final_ ? start_or_end_ : start_any_;
    if (at_ != kFree) {
        at_ = follow(at_, id);
        const Opens opens = nodes_[size_t(at_)].opens;
        has_called_ |= opens == kCall;
        has_final_ |= opens == kFinal;
        if (opens != kNothing) at_ = kFree;
    } else if (id == tokens_.end || id == tokens_.call || id == tokens_.done || id == tokens_.endoftext) {
        at_ = start;
    } else if (id == tokens_.start) {
        at_ = follow(start, id);
    } else if (id == tokens_.channel) {
        at_ = follow(owes_call() ? call_ : any_, id);
    }
}
