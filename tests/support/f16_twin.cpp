// f16_twin.cpp: rewrites a snapshot's tensors.
#include "support/f16_twin.h"

#include <cmath>
#include <cstring>

#include "bf16.h"
#include "support/safetensors_parts.h"

f16 narrowed(float f) {
    const int sign = std::signbit(f) ? 0x8000 : 0;
    const float magnitude = std::fabs(f);
    if (magnitude < 0x1p-14f) return {uint16_t(sign | int(magnitude * 0x1p24f))};
    int exponent;
    const float fraction = std::frexp(magnitude, &exponent);  // [0.5, 1)
    return {uint16_t(sign | (exponent + 14) << 10 | int((2 * fraction - 1) * 1024))};
}

void rewrite_dense(const std::string& snapshot, const std::string& dtype) {
    const std::string path = snapshot + "/model.safetensors";
    const SafetensorsParts parts(path);
    SafetensorsParts out = parts;
    out.data.clear();
    for (auto& [name, info] : out.header.items()) {
        if (name == "__metadata__") continue;
        const size_t begin = info["data_offsets"][0], end = info["data_offsets"][1], start = out.data.size();
        if (info["dtype"] == "BF16") {
            for (size_t i = begin; i < end; i += sizeof(bf16)) {
                bf16 value;
                std::memcpy(&value, parts.data.data() + i, sizeof value);
                const f16 half = narrowed(to_f32(value) * (1 + 0x1p-8f / 3));
                const float single = to_f32(half);
                if (dtype == "F16")
                    out.data.append(reinterpret_cast<const char*>(&half), sizeof half);
                else
                    out.data.append(reinterpret_cast<const char*>(&single), sizeof single);
            }
            info["dtype"] = dtype;
        } else {
            out.data += parts.data.substr(begin, end - begin);
        }
        info["data_offsets"] = {start, out.data.size()};
    }
    out.write(path);
}
