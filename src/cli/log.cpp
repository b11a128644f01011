#include "millrace/cli/log.hpp"

#include <cerrno>
#include <system_error>

#include "cli/log_commands.hpp"
#include "millrace/journal/inspect.hpp"

namespace millrace::cli {

namespace {

int run(const LogDirectory& directory, const LogCommand& command, Output& out, Output& err) {
  switch (command.what) {
    case LogCommand::What::inspect:
      return log_inspect(directory, command.json, out, err);
    case LogCommand::What::verify:
      return log_verify(directory, command.findings_told, out, err);
    case LogCommand::What::export_records:
      return log_export(directory, command.selection, out, err);
  }
  return kUnreadable;
}

}  // namespace

int run_log(Files& files, const std::filesystem::path& data_dir, bool running, const LogCommand& command, Output& out,
            Output& err) {
  const auto looking = journal::make_onlooking_files(files);
  LogDirectory directory{*looking, data_dir, running, command.keys ? *command.keys : journal::no_keys()};
  const auto there = [&](const std::filesystem::path& path) -> FileResult<bool> {
    auto kind = looking->kind(path);
    if (!kind) return kind.error();
    return {boost::system::in_place_value, *kind == Files::Kind::directory};
  };
  const auto log = there(directory.log()), state = there(directory.state());
  for (const auto* each : {&log, &state}) {
    if (*each) continue;
    err << "millrace: " << each->error().detail << "\n";
    return kUnreadable;
  }
  directory.has_log = *log;
  directory.has_state = *state;
  if (!*log && !*state) {
    err << "millrace: " << data_dir.string()
        << " holds no log: there is neither log/ nor state/ in it, which storage.mode: durable makes\n";
    return kUnreadable;
  }
  const int code = run(directory, command, out, err);
  out.flush();
  if (out.error() == 0 || out.error() == EPIPE) return code;  // whoever reads may have enough
  err << "millrace: the output cannot be written: " << std::generic_category().message(out.error()) << "\n";
  return kUnreadable;
}

}  // namespace millrace::cli
