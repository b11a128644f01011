#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace YAML {
class Node;
}

/// YAML as people write it into files, JSON included: what is wrong with it, and where things stand in it.
namespace millrace::codec {

/// A place in a text, both from 1, the column in characters; 0 where it is not known.
struct TextPlace {
  std::size_t line = 0, column = 0;
};
TextPlace place_of(std::string_view text, std::size_t offset) noexcept;

struct YamlMistake {
  TextPlace at;
  std::string path;  ///< of the member it is about, `a.b[0].c`; empty where none is
  std::string what;
};

struct YamlText;

/// One document. What YAML lets pass and would be ignored or read otherwise than meant is a mistake: a name twice in a
/// map, merge keys, tags, a quote that is never closed, a second document, control characters. Bounded: no tree is
/// larger or deeper than kNodesMax and kDepthMax, aliases counted as often as they are used, and none holds itself.
class YamlDocument {
 public:
  static constexpr std::size_t kNodesMax = 500'000;
  static constexpr std::size_t kDepthMax = 100;
  static constexpr std::size_t kMistakesMax = 1000;  ///< more are not kept

  explicit YamlDocument(std::string text);
  YamlDocument(YamlDocument&&) noexcept;
  YamlDocument& operator=(YamlDocument&&) noexcept;
  ~YamlDocument();

  /// In the order of the text.
  const std::vector<YamlMistake>& mistakes() const noexcept { return mistakes_; }
  /// False: `mistakes()` has the one reason, and root() is empty.
  bool readable() const noexcept { return readable_; }
  /// Null for a text without content.
  const YAML::Node& root() const noexcept { return *root_; }

  /// Where a node begins; for an alias, what it stands for.
  TextPlace place(const YAML::Node& node) const noexcept;
  /// Where the character at `offset` of a scalar's value stands, whatever the scalar's style. Nothing where this cannot
  /// be told for certain.
  std::optional<TextPlace> place_in(const YAML::Node& scalar, std::size_t offset) const;
  /// The members of a map whose names are plain texts, each name once: the others are mistakes already.
  static std::vector<std::pair<YAML::Node, YAML::Node>> members(const YAML::Node& map);

 private:
  void check_and_load();

  std::unique_ptr<YamlText> text_;
  std::vector<YamlMistake> mistakes_;
  bool readable_ = false;
  std::unique_ptr<YAML::Node> root_;
};

}  // namespace millrace::codec
