// utf8_stream.h: whole characters from bytes that arrive in any portions, for text shown while it is generated.
#pragma once
#include <string>
#include <string_view>

// feed() returns what is complete and keeps an unfinished character for the next call. Bytes that can never be UTF-8
// come out as U+FFFD.
class Utf8Stream {
  public:
    std::string feed(std::string_view bytes);
    std::string finish();  // what is left, as U+FFFD

  private:
    std::string pending_;
};
