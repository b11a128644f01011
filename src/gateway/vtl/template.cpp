#include "gateway/vtl/template.hpp"

#include <stdexcept>

#include "gateway/vtl/nodes.hpp"
#include "gateway/vtl/parser.hpp"

namespace millrace::gateway::vtl {
namespace {

constexpr std::size_t kArenaBytesMax = 256u << 20;

}  // namespace

void throw_exception_from_error(const TemplateError& error, const boost::source_location&) {
  throw std::logic_error("value taken from an error: " + error.what);
}

Template::Template(std::unique_ptr<const Program> program) : program_(std::move(program)) {}
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

ResultOf<Template, TemplateError> Template::compile(std::string source) {
  if (source.size() > kSourceBytesMax) return TemplateError{{1, 1}, "the template is larger than 300 KB"};
  std::string_view text = source;
  // Blanks at the end go; those at the beginning stay in the count of lines.
  const std::size_t end = text.find_last_not_of(" \t\r\n");
  text = text.substr(0, end == std::string_view::npos ? 0 : end + 1);
  std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) begin = 0;
  try {
    return Template(parse(text.substr(begin)));
  } catch (const CompileError& error) {
    return TemplateError{codec::place_of(text, begin + error.offset), error.what, begin + error.offset};
  }
}

Outcome Template::evaluate(const RequestFacts& request, std::string_view body, Overrides& overrides, Buffer& out,
                           MemoryBudget* budget) const {
  // Nothing is awaited in an evaluation, so that a thread runs one at a time.
  thread_local Arena arena(kArenaBytesMax);
  struct Reset {
    ~Reset() { arena.reset(); }
  } reset;
  arena.use(budget);
  try {
    Evaluation evaluation(request, body, overrides, arena, out, program_->variables, program_->loop_depth);
    program_->body.run(evaluation);
    return {};
  } catch (EvaluationFailed& failed) {
    return std::move(failed.outcome);
  } catch (const ArenaFull&) {
    return {Outcome::Code::failed, "the template needs too much memory"};
  } catch (const BudgetFull&) {
    return {Outcome::Code::no_memory, "the memory limit is reached"};
  } catch (const Budget::Spent&) {
    return {Outcome::Code::failed, "the template takes too much work"};
  } catch (const TooDeep&) {
    return {Outcome::Code::failed, "a value nests too deeply to be printed"};
  }
}

}  // namespace millrace::gateway::vtl
