#include "app/restoring.hpp"

#include "app/start_error.hpp"
#include "millrace/base/log.hpp"

namespace millrace::app {

Restoring::Restoring(const config::Config& config)
    : place_{*files_, clock_, *random_, config.data_dir, config.keys.get(), config.on_damage == "serve"} {}

std::optional<snapshots::Restore> Restoring::finish() {
  auto finished = snapshots::finish_restore(place_);
  if (!finished) throw StartError(finished.error().detail);
  const std::optional<snapshots::Restore>& restored = *finished;
  if (restored) logging::warn("restored", {{"snapshot", restored->name}, {"what_there_was", restored->kept_as}});
  return restored;
}

bool Restoring::go_back(const snapshots::Restore& restored, const std::string& why) {
  if (!restored.because.empty()) return false;  // that was the way back
  logging::error("what was restored does not start: going back",
                 {{"snapshot", restored.name}, {"what_there_was", restored.kept_as}, {"error", why}});
  const auto prepared = snapshots::prepare_restore(place_, restored.kept_as, restored.name + " did not start: " + why);
  if (!prepared) logging::error("there is no going back", {{"error", prepared.error().detail}});
  return prepared.has_value();
}

}  // namespace millrace::app
