#include "millrace/config/access_keys.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <string_view>
#include <system_error>

#include "config/mistakes.hpp"
#include "config/read_file.hpp"
#include "millrace/base/printable.hpp"
#include "millrace/services/accounts.hpp"

namespace millrace::config {
namespace {

constexpr std::size_t kFileBytesMax = 1u << 20;
constexpr std::string_view kBlanks = " \t\r\v\f";
constexpr std::string_view kId = "aws_access_key_id", kSecret = "aws_secret_access_key", kToken = "aws_session_token",
                           kAccount = "aws_account_id";

std::string_view trimmed(std::string_view text) noexcept {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

class Reader {
 public:
  Reader(AccessKeys& out, Mistakes& mistakes) : out_(out), mistakes_(mistakes) {}

  void read(std::string_view text) {
    for (line_ = 1; !text.empty(); ++line_) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      const std::string_view whole = text.substr(0, end), told = trimmed(whole);
      // A line that begins with a blank goes on with the one before, which is of no use here.
      const bool goes_on = !whole.empty() && kBlanks.find(whole.front()) != std::string_view::npos;
      if (!told.empty() && told.front() != '#' && told.front() != ';' && !goes_on) read_line(told);
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    end_section();
    if (out_.keys.empty() && mistakes_.empty())
      mistakes_.add(0, "", "holds no access key: write a section with aws_access_key_id and aws_secret_access_key");
  }

 private:
  struct Section {
    std::string name;
    std::size_t line = 0;
    std::optional<std::string> id, secret, account;
  };

  void read_line(std::string_view told) {
    if (told.front() == '[') {
      end_section();
      if (told.back() != ']')
        return mistakes_.add(line_, "", "begins a section and does not end it: write its name as `[name]`");
      section_ = Section{std::string(trimmed(told.substr(1, told.size() - 2))), line_, {}, {}, {}};
      return;
    }
    const std::size_t equals = told.find('=');
    if (equals == std::string_view::npos)
      return mistakes_.add(
          line_, "", "is neither a section such as [default] nor a setting such as `" + std::string(kId) + " = ...`");
    const std::string_view name = trimmed(told.substr(0, equals)), value = trimmed(told.substr(equals + 1));
    if (!section_) return mistakes_.add(line_, "", "stands before the first section: write `[default]` above it");
    if (name == kToken)
      return mistakes_.add(line_, "", "is of credentials that were given for a time: name keys that last");
    if (name != kId && name != kSecret && name != kAccount) return;
    if (value.empty()) return mistakes_.add(line_, "", std::string(name) + " is empty");
    std::optional<std::string>& place = name == kId       ? section_->id
                                        : name == kSecret ? section_->secret
                                                          : section_->account;
    if (place) return mistakes_.add(line_, "", std::string(name) + " is given twice in this section");
    if (name == kId && value.find_first_of("/ \t,=") != std::string_view::npos)
      return mistakes_.add(line_, "", std::string(name) + " has characters that no access key id can have");
    if (name == kAccount && !services::is_account(value))
      return mistakes_.add(line_, "", std::string(name) + " is not an account: write twelve digits");
    place = std::string(value);
  }

  void end_section() {
    const std::optional<Section> section = std::exchange(section_, std::nullopt);
    if (!section || (!section->id && !section->secret)) return;
    const std::string name = "section [" + printable(section->name) + "]";
    if (!section->id || !section->secret)
      return mistakes_.add(section->line, "",
                           name + " has no " + std::string(section->id ? kSecret : kId) + " beside the other");
    const auto [known, fresh] = sections_.try_emplace(*section->id, section->line);
    if (!fresh)
      return mistakes_.add(section->line, "",
                           name + " has the access key id of the section in line " + std::to_string(known->second));
    // An access key that is an account's number is that account's.
    std::string account = section->account.value_or(services::is_account(*section->id) ? *section->id : "");
    out_.keys.push_back({*section->id, *section->secret, std::move(account)});
  }

  AccessKeys& out_;
  Mistakes& mistakes_;
  std::size_t line_ = 1;
  std::optional<Section> section_;
  std::map<std::string, std::size_t> sections_;  // line of the section that has this id
};

}  // namespace

Result<AccessKeys> read_access_keys(const std::filesystem::path& file) {
  std::string why;
  Mistakes mistakes(file);
  const std::optional<std::string> text = read_file(file, kFileBytesMax, why);
  if (!text) {
    mistakes.add(0, "", why + ": it is to hold access keys, as ~/.aws/credentials does");
    return mistakes.error();
  }
  AccessKeys out;
  Reader(out, mistakes).read(*text);
  if (!mistakes.empty()) return mistakes.error();
  if (auto warning = open_to_all(file, "access keys"); !warning.empty()) out.warnings.push_back(std::move(warning));
  return out;
}

}  // namespace millrace::config
