// short_model.h: a TinyModel of few positions. Its table of angles for 131072 would cost more than all else.
#pragma once
#include "tiny_model.h"

class ShortModel : public TinyModel {
  public:
    explicit ShortModel(const std::string& format, std::vector<std::string> settings = {})
        : TinyModel(format, with_few_positions(std::move(settings))) {}

  private:
    static std::vector<std::string> with_few_positions(std::vector<std::string> settings) {
        settings.push_back("max_position_embeddings=8192");
        return settings;
    }
};
