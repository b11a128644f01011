#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/agent/agent.hpp"

/// What becomes of a record before it is sent. Without files and clocks.
namespace millrace::agent {

/// Of a record; Firehose takes 4 MiB a call and Kinesis more, and the Amazon Kinesis Agent sends no more to either.
inline constexpr std::size_t kFirehoseBytesMax = 4u << 20;

/// A regular expression as Perl and Java write it. What takes too long to be matched counts as not matched.
class Pattern {
 public:
  /// What is wrong with `text`; empty when nothing is.
  static std::string mistake(const std::string& text);
  /// `text` has no mistake.
  explicit Pattern(const std::string& text);
  ~Pattern();
  Pattern(Pattern&&) noexcept;
  Pattern& operator=(Pattern&&) noexcept;

  std::size_t groups() const;
  /// Whether `text` begins with what matches.
  bool begins(std::string_view text) const;
  /// The groups of what matches all of `text`; a group that took no part is nothing.
  std::optional<std::vector<std::optional<std::string_view>>> match(std::string_view text) const;

 private:
  struct Compiled;
  std::unique_ptr<Compiled> compiled_;
};

struct LogFormat {
  std::string_view name, pattern;
  std::span<const std::string_view> fields;
};
std::span<const LogFormat> log_formats();

/// A flow's dataProcessingOptions, one after the other.
class Conversions {
 public:
  explicit Conversions(const std::vector<Processing>& all);
  ~Conversions();
  /// What is sent of a record; nothing where it is none of the format that was said.
  std::optional<std::string> apply(std::string record) const;
  bool none() const noexcept { return all_.empty(); }

 private:
  struct One;
  std::vector<One> all_;
};

}  // namespace millrace::agent
