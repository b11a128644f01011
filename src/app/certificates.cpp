#include "app/certificates.hpp"

#include "app/start_error.hpp"
#include "millrace/base/log.hpp"

namespace millrace::app {
namespace {

constexpr std::chrono::hours kTicketKeyLife{12};

net::SystemTime now() { return std::chrono::system_clock::now(); }

net::Result<net::OwnCertificates> read_own(const config::Config& config) {
  auto own = net::read_certificates(config.tls_certificate, config.tls_key, now());
  if (!own) return net::Error{own.error().code, "tls.certificate: " + own.error().detail};
  return own;
}

void log_warnings(const net::OwnCertificates& own) {
  for (const std::string& warning : own.warnings) logging::warn("tls.certificate: " + warning);
}

}  // namespace

Certificates::Certificates(const config::Config& config) : config_(config) {
  auto first = read();
  if (!first) throw StartError(first.error().detail);
  auto tls = net::Tls::make(first->material);
  if (!tls) throw StartError("tls: " + tls.error().detail);
  tls_ = *std::move(tls);
  authority_.with([&](std::string& pem) { pem = std::move(first->authority); });
  renew_at_ = first->renew_at;
  fresh_until_ = now() + kTicketKeyLife;
}

net::Result<Certificates::Read> Certificates::read() const {
  Read read;
  if (!config_.tls_certificate.empty()) {
    auto own = read_own(config_);
    if (!own) return own.error();
    log_warnings(*own);
    read.material = std::move(own->material);
    return read;
  }
  auto kept = net::keep_certificates(config_.data_dir / "tls", config_.tls_hostnames, now());
  if (!kept) return net::Error{kept.error().code, "tls: " + kept.error().detail};
  for (const std::string& news : kept->news) logging::info("tls: " + news);
  read.material = std::move(kept->material);
  read.authority = std::move(kept->authority);
  read.renew_at = kept->renew_at;
  return read;
}

std::string Certificates::describe() const {
  const std::string what = config_.tls_certificate.empty()
                               ? "clients trust " + (config_.data_dir / "tls" / "ca.pem").string()
                               : "the certificate of " + config_.tls_certificate.string();
  return "tls: https on the same ports, " + what;
}

bool Certificates::use(const char* why) {
  // Whatever comes of it, the next try is not before the next look.
  auto next = read();
  if (next) {
    if (auto used = tls_->use(next->material); !used)
      next = net::Error{used.error().code, "tls: " + used.error().detail};
  }
  if (!next) {
    logging::error(std::string(why) + " failed: the certificate before stays in use",
                   {{"reason", next.error().detail}});
    return false;
  }
  authority_.with([&](std::string& pem) { pem = std::move(next->authority); });
  renew_at_ = next->renew_at;
  fresh_until_ = now() + kTicketKeyLife;
  return true;
}

void Certificates::reload() {
  if (use("reading the certificate again")) logging::info("the certificate was read again");
}

void Certificates::look() {
  if (now() >= renew_at_ || now() >= fresh_until_) use("renewing the certificate");
}

void check_certificate(const config::Config& config, bool warn) {
  if (!config.tls_enabled || config.tls_certificate.empty()) return;
  const auto own = read_own(config);
  if (!own) throw StartError(own.error().detail);
  if (warn) log_warnings(*own);
}

}  // namespace millrace::app
