#pragma once
#include <string>
#include <string_view>

namespace millrace::fuzz {

/// What a walk met, in order: one line a thing. A string's line has its length, so that no text looks like another.
class Events {
 public:
  void mark(char c) { text_.append(1, c).append(1, '\n'); }
  void string(char kind, std::string_view value) {
    text_.append(1, kind).append(std::to_string(value.size())).append(1, ':').append(value).append(1, '\n');
  }
  void number(char kind, std::string_view text) { text_.append(1, kind).append(text).append(1, '\n'); }
  void append(const Events& other) { text_ += other.text_; }
  friend bool operator==(const Events&, const Events&) = default;

 private:
  std::string text_;
};

}  // namespace millrace::fuzz
