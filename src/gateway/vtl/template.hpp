#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/base/buffer.hpp"
#include "millrace/base/clock.hpp"
#include "millrace/base/http.hpp"
#include "millrace/base/memory_budget.hpp"
#include "millrace/base/result.hpp"
#include "millrace/codec/yaml.hpp"

/// Mapping templates: compiled when an API is deployed, evaluated once a request and once a reply.
namespace millrace::gateway::vtl {

/// What `$context` and `$input.params` see of a request. Views live as long as the request.
struct RequestFacts {
  struct PathParameter {
    std::string_view name;
    std::string value;  ///< decoded
  };
  std::string_view account_id, api_id, domain_name, extended_request_id, http_method, path, protocol, request_id,
      resource_id, resource_path, source_ip, stage, user_agent;
  TimePoint time;
  std::span<const PathParameter> path_parameters;
  std::string_view query;  ///< raw
  const http::Headers* headers = nullptr;
};

/// What templates set by `$context.responseOverride`.
struct Overrides {
  int status = 0;  ///< 0: not set
  std::vector<std::pair<std::string, std::string>> headers;
  void clear() {
    status = 0;
    headers.clear();
  }
};

/// Why a template does not compile.
struct TemplateError {
  codec::TextPlace at;
  std::string what;
  std::size_t offset = 0;  ///< in bytes, of the same place
};
[[noreturn]] void throw_exception_from_error(const TemplateError& error, const boost::source_location&);

struct Outcome {
  enum class Code {
    done,
    bad_json,   ///< the body is read as JSON and is none; detail is for the client
    failed,     ///< a limit was passed or a value cannot be used as the template does; detail is for our log
    no_memory,  ///< the budget refuses
  };
  Code code = Code::done;
  std::string detail;
};

class Program;

/// Thread-safe once compiled.
class Template {
 public:
  static constexpr std::size_t kSourceBytesMax = 300u << 10;
  static constexpr std::size_t kOutputBytesMax = 16u << 20;  ///< the largest body in base64, and room around it
  static constexpr std::size_t kIterationsMax = 1000;        ///< of one #foreach

  /// White space around the text is dropped. Whatever is not built is refused here, not when a request comes.
  static ResultOf<Template, TemplateError> compile(std::string source);

  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

  /// Appends to `out`. Synchronous; uses scratch memory of its thread, within `budget` when one is given.
  Outcome evaluate(const RequestFacts& request, std::string_view body, Overrides& overrides, Buffer& out,
                   MemoryBudget* budget = nullptr) const;

 private:
  explicit Template(std::unique_ptr<const Program> program);
  std::unique_ptr<const Program> program_;
};

}  // namespace millrace::gateway::vtl
