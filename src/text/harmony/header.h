// header.h: reads the header of a generated message, however the model wrote it.
#pragma once
#include <string>
#include <vector>

#include "harmony.h"

struct HeaderPart {
    enum Marker { kStart, kChannel, kConstrain } marker;  // the marker that it follows
    std::string bytes;
};

// A header as it came: its text, cut at the markers. The first part is the author's.
struct HarmonyHeader {
    std::vector<HeaderPart> parts{{HeaderPart::kStart, ""}};
    bool role_given = false;  // by the prompt, which ended in `<|start|>assistant`
};

// Two or more words that belong to no header are prose: the model forgot `<|message|>`, or thought aloud before it.
struct PartWords {
    bool is_prose = false;
    bool has_call = false;
};
// The words of the last part so far.
PartWords words_of_last_part(const HarmonyHeader& header, const std::vector<std::string>& tools);

// A header up to its `<|message|>`. Prose in it begins the content; if that would spoil an answer or a call's
// arguments, it becomes `aside`, a message of its own before this one.
struct CompleteHeader {
    Message message;
    std::string aside;
};
CompleteHeader read_complete_header(const HarmonyHeader& header, const std::vector<std::string>& tools);

// A header without `<|message|>`. The content begins at the first word that cannot belong to a header. It is a call
// only if `<|call|>` ended it (`is_call`) or the content begins like arguments.
Message read_cut_header(const HarmonyHeader& header, const std::vector<std::string>& tools, bool is_call);
