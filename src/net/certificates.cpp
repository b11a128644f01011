#include "millrace/net/certificates.hpp"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <cstdio>
#include <ctime>

#include "net/openssl_owned.hpp"

namespace millrace::net {

namespace {

constexpr std::chrono::hours kDay{24};
constexpr auto kAuthorityLife = 3650 * kDay;
constexpr auto kCertificateLife = 397 * kDay;
constexpr auto kBefore = kDay;  // clients' clocks are not this machine's

Error failed(std::string what) {
  if (const char* reason = ERR_reason_error_string(ERR_peek_last_error())) what.append(": ").append(reason);
  ERR_clear_error();
  return {Errc::failed, std::move(what)};
}

std::optional<boost::asio::ip::address> address_of(const std::string& name) {
  boost::system::error_code none;
  auto address = boost::asio::ip::make_address(name, none);
  if (none) return std::nullopt;
  return address;
}

bool set_time(ASN1_TIME* time, SystemTime to) {
  return ASN1_TIME_set(time, std::chrono::system_clock::to_time_t(to)) != nullptr;
}

bool set_serial(X509* certificate) {
  unsigned char bytes[16];
  if (RAND_bytes(bytes, sizeof bytes) != 1) return false;
  bytes[0] = (bytes[0] & 0x7f) | 0x40;  // positive, and of one length
  const Owned<BIGNUM> number(BN_bin2bn(bytes, sizeof bytes, nullptr));
  return number && BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate));
}

bool set_name(X509_NAME* name, const std::string& common_name) {
  const auto add = [&](const char* field, const std::string& text) {
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(text.data()),
                                      static_cast<int>(text.size()), -1, 0) == 1;
  };
  return add("O", "Millrace") && add("CN", common_name);
}

bool extend(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Owned<X509_EXTENSION> extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

/// Not by a line of configuration, where a name could say more than itself.
bool extend_by_names(X509* certificate, const std::vector<std::string>& names) {
  const Owned<GENERAL_NAMES> all(GENERAL_NAMES_new());
  for (const std::string& name : names) {
    Owned<GENERAL_NAME> one(GENERAL_NAME_new());
    const auto address = address_of(name);
    Owned<ASN1_STRING> text(address ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new());
    if (!one || !text) return false;
    std::string bytes = name;
    if (address && address->is_v4()) {
      const auto raw = address->to_v4().to_bytes();
      bytes.assign(raw.begin(), raw.end());
    } else if (address) {
      const auto raw = address->to_v6().to_bytes();
      bytes.assign(raw.begin(), raw.end());
    }
    if (ASN1_STRING_set(text.get(), bytes.data(), static_cast<int>(bytes.size())) != 1) return false;
    GENERAL_NAME_set0_value(one.get(), address ? GEN_IPADD : GEN_DNS, text.release());
    if (sk_GENERAL_NAME_push(all.get(), one.get()) == 0) return false;
    (void)one.release();
  }
  return X509_add1_ext_i2d(certificate, NID_subject_alt_name, all.get(), 0, X509V3_ADD_DEFAULT) == 1;
}

Result<std::string> text_of(X509* certificate) {
  const Owned<BIO> out(BIO_new(BIO_s_mem()));
  if (!out || PEM_write_bio_X509(out.get(), certificate) != 1) return failed("a certificate cannot be written");
  return contents(out.get());
}

Result<std::string> text_of(EVP_PKEY* key) {
  const Owned<BIO> out(BIO_new(BIO_s_mem()));
  if (!out || PEM_write_bio_PKCS8PrivateKey(out.get(), key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
    return failed("a key cannot be written");
  return contents(out.get());
}

Result<TlsMaterial> signed_by(X509* certificate, EVP_PKEY* key, EVP_PKEY* signer) {
  if (X509_sign(certificate, signer, EVP_sha256()) == 0) return failed("a certificate cannot be signed");
  auto text = text_of(certificate);
  if (!text) return text.error();
  auto key_text = text_of(key);
  if (!key_text) return key_text.error();
  return TlsMaterial{*std::move(text), *std::move(key_text)};
}

SystemTime time_of(const ASN1_TIME* time) {
  tm utc{};
  if (ASN1_TIME_to_tm(time, &utc) != 1) return {};
  return std::chrono::system_clock::from_time_t(::timegm(&utc));
}

std::string hexadecimal(std::uint32_t number) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", number);
  return text;
}

}  // namespace

Result<TlsMaterial> make_authority(SystemTime now) {
  const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
  const Owned<X509> certificate(X509_new());
  std::uint32_t number = 0;
  if (!key || !certificate || RAND_bytes(reinterpret_cast<unsigned char*>(&number), sizeof number) != 1)
    return failed("an authority cannot be made");
  X509* const c = certificate.get();
  const bool made =
      X509_set_version(c, X509_VERSION_3) == 1 && set_serial(c) && set_time(X509_getm_notBefore(c), now - kBefore) &&
      set_time(X509_getm_notAfter(c), now + kAuthorityLife) &&
      set_name(X509_get_subject_name(c), "Millrace local authority " + hexadecimal(number)) &&
      X509_set_issuer_name(c, X509_get_subject_name(c)) == 1 && X509_set_pubkey(c, key.get()) == 1 &&
      extend(c, c, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
      extend(c, c, NID_key_usage, "critical,keyCertSign,cRLSign") && extend(c, c, NID_subject_key_identifier, "hash") &&
      extend(c, c, NID_authority_key_identifier, "keyid:always");
  if (!made) return failed("an authority cannot be made");
  return signed_by(c, key.get(), key.get());
}

Result<TlsMaterial> make_certificate(const TlsMaterial& authority, const std::vector<std::string>& names,
                                     SystemTime now) {
  const Owned<X509> issuer = read_certificate(authority.certificates);
  const Owned<EVP_PKEY> issuer_key = read_key(authority.key);
  if (!issuer || !issuer_key) return failed("the authority cannot be read");
  const Owned<EVP_PKEY> key(EVP_EC_gen("P-256"));
  const Owned<X509> certificate(X509_new());
  if (!key || !certificate) return failed("a certificate cannot be made");
  X509* const c = certificate.get();
  const SystemTime until =
      std::min<SystemTime>(now + kCertificateLife - kBefore, time_of(X509_get0_notAfter(issuer.get())));
  const bool made =
      X509_set_version(c, X509_VERSION_3) == 1 && set_serial(c) && set_time(X509_getm_notBefore(c), now - kBefore) &&
      set_time(X509_getm_notAfter(c), until) && set_name(X509_get_subject_name(c), "Millrace") &&
      X509_set_issuer_name(c, X509_get_subject_name(issuer.get())) == 1 && X509_set_pubkey(c, key.get()) == 1 &&
      extend(c, issuer.get(), NID_basic_constraints, "critical,CA:FALSE") &&
      extend(c, issuer.get(), NID_key_usage, "critical,digitalSignature") &&
      extend(c, issuer.get(), NID_ext_key_usage, "serverAuth") && extend_by_names(c, names) &&
      extend(c, issuer.get(), NID_subject_key_identifier, "hash") &&
      extend(c, issuer.get(), NID_authority_key_identifier, "keyid:always");
  if (!made) return failed("a certificate cannot be made");
  return signed_by(c, key.get(), issuer_key.get());
}

Result<CertificateFacts> facts_of(const std::string& certificates) {
  const Owned<X509> certificate = read_certificate(certificates);
  if (!certificate) return failed("the certificate cannot be read");
  CertificateFacts facts;
  facts.from = time_of(X509_get0_notBefore(certificate.get()));
  facts.until = time_of(X509_get0_notAfter(certificate.get()));
  const Owned<GENERAL_NAMES> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    int kind = 0;
    const auto* value =
        static_cast<const ASN1_STRING*>(GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &kind));
    const unsigned char* bytes = ASN1_STRING_get0_data(value);
    const int size = ASN1_STRING_length(value);
    if (kind == GEN_DNS) {
      facts.names.emplace_back(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
    } else if (kind == GEN_IPADD && size == 4) {
      boost::asio::ip::address_v4::bytes_type raw;
      std::copy_n(bytes, raw.size(), raw.begin());
      facts.names.push_back(boost::asio::ip::address_v4(raw).to_string());
    } else if (kind == GEN_IPADD && size == 16) {
      boost::asio::ip::address_v6::bytes_type raw;
      std::copy_n(bytes, raw.size(), raw.begin());
      facts.names.push_back(boost::asio::ip::address_v6(raw).to_string());
    }
  }
  ERR_clear_error();
  return facts;
}

}  // namespace millrace::net
