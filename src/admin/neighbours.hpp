#pragma once
#include <chrono>

#include "admin/answer.hpp"
#include "admin/reset.hpp"
#include "millrace/admin/admin.hpp"

namespace millrace::admin {

/// What test suites written for LocalStack or moto ask of them, answered in their shapes and words (docs/urls.md): is
/// it up, and reset. Everything else of theirs is a 404 that says what there is.
class Neighbours {
 public:
  Neighbours(const Dependencies& dependencies, Reset& reset) : dependencies_(dependencies), reset_(reset) {}

  awaitable<Answer> answer(const http::Request& request, bool ready, std::chrono::seconds uptime);

 private:
  Answer health(bool ready) const;

  const Dependencies& dependencies_;
  Reset& reset_;
};

}  // namespace millrace::admin
