#pragma once
#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/net/tls.hpp"

/// Certificates: those that are made here, and those of the user.
namespace millrace::net {

using SystemTime = std::chrono::system_clock::time_point;

/// An authority that signs servers only, for ten years (ECDSA, P-256). Each one has a name of its own.
Result<TlsMaterial> make_authority(SystemTime now);
/// A server's certificate, for 397 days, the most that browsers take; never longer than the authority's.
/// @param names  DNS names, `*.` before one for all directly below it, and addresses; at least one
Result<TlsMaterial> make_certificate(const TlsMaterial& authority, const std::vector<std::string>& names,
                                     SystemTime now);

/// What a certificate, the first of a text, says.
struct CertificateFacts {
  SystemTime from, until;
  std::vector<std::string> names;  ///< DNS names and addresses in their order; other kinds are left out
};
Result<CertificateFacts> facts_of(const std::string& certificates);

/// Certificates that the daemon keeps for itself, in a directory: `ca.pem` and `ca.key`, an authority for clients to
/// trust, `server.pem` and `server.key`, what it shows. Keys have mode 0600.
struct KeptCertificates {
  TlsMaterial material;
  std::string authority;          ///< ca.pem
  SystemTime renew_at;            ///< from when on keep_certificates() makes another certificate
  std::vector<std::string> news;  ///< what was made, and why; a sentence each
};

/// Takes what is there and makes what is missing: the authority when there is none or it ends within 90 days, the
/// server's certificate also when it ends within 30 days, has other names or is not the authority's. Blocking.
/// @param hostnames  beside localhost, *.localhost, *.execute-api.localhost, 127.0.0.1, ::1, host.docker.internal and
/// the machine's own name
/// @error  failed: with the path; an authority that cannot be used is never replaced, since clients trust it
Result<KeptCertificates> keep_certificates(const std::filesystem::path& directory,
                                           const std::vector<std::string>& hostnames, SystemTime now);

/// The user's own, two PEM files, which may be one. Blocking.
struct OwnCertificates {
  TlsMaterial material;
  std::vector<std::string> warnings;  ///< a sentence each, with the path
};
/// Warns of a certificate that is over or will be within 14 days, and of a key that others may read.
/// @error  failed: with the path; also what Tls::make() says of them
Result<OwnCertificates> read_certificates(const std::filesystem::path& certificates, const std::filesystem::path& key,
                                          SystemTime now);

}  // namespace millrace::net
