// rope.cpp: rotary position frequencies, plain or YaRN ("NTK by parts", arXiv 2309.00071).
//
// In f32 where the reference implementations use it: at position 100,000 the last bit of an f32 frequency turns a pair
// by 0.008 rad, so a more exact table would be a different model.
#include <algorithm>
#include <cmath>

#include "model.h"

std::vector<float> rope_inv_freq(const Config& config) {
    const double pi = 3.14159265358979323846;
    const int head_dim = config.head_dim;

    // The pair that turns `turns` times over the original context.
    const auto pair_of = [&](double turns) {
        return head_dim * std::log(config.rope_original_context / (turns * 2 * pi)) /
               (2 * std::log(double(config.rope_theta)));
    };
    double low = pair_of(config.rope_beta_fast), high = pair_of(config.rope_beta_slow);
    if (config.rope_truncate) low = std::floor(low), high = std::ceil(high);
    low = std::max(low, 0.0);
    high = std::min(high, head_dim - 1.0);
    if (low == high) high += 0.001;

    std::vector<float> inv_freq(size_t(head_dim / 2));
    for (size_t i = 0; i < inv_freq.size(); i++) {
        const float freq = std::pow(config.rope_theta, float(2 * i) / float(head_dim));
        // Fast pairs (ramp 0) keep their frequency, slow ones (ramp 1) are stretched by the whole factor.
        const float ramp = std::clamp((float(i) - float(low)) / float(high - low), 0.0f, 1.0f);
        const float keep = 1.0f - ramp;
        inv_freq[i] = 1.0f / (config.rope_factor * freq) * (1.0f - keep) + 1.0f / freq * keep;
    }
    return inv_freq;
}

void rope_cos_sin(const Config& config, const std::vector<float>& inv_freq, int pos, float* cos, float* sin) {
    for (size_t i = 0; i < inv_freq.size(); i++) {
        const float angle = float(pos) * inv_freq[i];
        cos[i] = std::cos(angle) * config.rope_attention_factor;
        sin[i] = std::sin(angle) * config.rope_attention_factor;
    }
}
