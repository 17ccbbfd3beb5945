// Admission by secrets: each end proves to the other that it knows one that both know. A proof covers all
// that both have said, so that none serves twice, elsewhere, or in the other direction.
#include <string_view>

#include "control_plane.h"
#include "limits.h"

namespace skein::core {
namespace {

using namespace std::string_view_literals;

// With their NUL: neither label begins the other.
constexpr std::string_view kAcceptorLabel = "skein acceptor\0"sv;
constexpr std::string_view kDiallerLabel = "skein dialler\0"sv;

}  // namespace

void ControlPlane::AddNonce(Hello* hello) {
  hello->nonce.emplace();
  auth_->RandomBytes(hello->nonce->data(), hello->nonce->size());
}

Proof ControlPlane::ProofOf(std::string_view label, size_t secret, Bytes transcript) const {
  const Bytes parts[] = {{reinterpret_cast<const uint8_t*>(label.data()), label.size()}, transcript};
  Proof proof;
  auth_->Hmac(options_.secrets[secret], parts, proof.data());
  return proof;
}

// The hello's length goes first: where it ends, and the ack begins, must not be for somebody in between to say.
void ControlPlane::BeginAdmission(Connection& connection, Bytes hello_body) {
  connection.admission = std::make_unique<Admission>();
  std::vector<uint8_t>& transcript = connection.admission->transcript;
  transcript.resize(sizeof(uint32_t));
  Store(transcript.data(), static_cast<uint32_t>(hello_body.size()));
  transcript.insert(transcript.end(), hello_body.begin(), hello_body.end());
}

// One for each of our secrets: the dialler looks for the one that it shares.
void ControlPlane::AppendProofs(Connection& connection, Bytes hello_body, std::vector<uint8_t>* ack_body) {
  BeginAdmission(connection, hello_body);
  std::vector<uint8_t>& transcript = connection.admission->transcript;
  transcript.insert(transcript.end(), ack_body->begin(), ack_body->end());
  ack_body->push_back(static_cast<uint8_t>(options_.secrets.size()));
  for (size_t secret = 0; secret < options_.secrets.size(); ++secret) {
    const Proof proof = ProofOf(kAcceptorLabel, secret, transcript);
    ack_body->insert(ack_body->end(), proof.begin(), proof.end());
  }
}

// Whether one of the acceptor's proofs is by one of our secrets; the first that is will sign our `ready`.
bool ControlPlane::AdmitAcceptor(Connection& connection, Bytes signed_ack, Bytes proofs) {
  Admission& admission = *connection.admission;
  admission.transcript.insert(admission.transcript.end(), signed_ack.begin(), signed_ack.end());
  for (size_t secret = 0; secret < options_.secrets.size(); ++secret) {
    const Proof expected = ProofOf(kAcceptorLabel, secret, admission.transcript);
    for (size_t at = 0; at < proofs.size(); at += limits::kProofBytes) {
      if (!EqualInConstantTime(proofs.subspan(at, limits::kProofBytes), expected)) continue;
      admission.secret = secret;
      return true;
    }
  }
  return false;
}

bool ControlPlane::AdmitDialler(const Connection& connection, Bytes ready_body) const {
  if (ready_body.size() < limits::kProofBytes) return false;
  const Bytes proof = ready_body.first(limits::kProofBytes);
  for (size_t secret = 0; secret < options_.secrets.size(); ++secret) {
    const Proof expected = ProofOf(kDiallerLabel, secret, connection.admission->transcript);
    if (EqualInConstantTime(proof, expected)) return true;
  }
  return false;
}

void ControlPlane::WriteReady(Connection& connection) {
  if (!WantsProofs()) return WriteFrame(connection, EncodeHead(FrameKind::kReady, 0, 0, {}), {});
  const Admission& admission = *connection.admission;
  const Proof proof = ProofOf(kDiallerLabel, admission.secret, admission.transcript);
  WriteFrame(connection, EncodeHead(FrameKind::kReady, 0, 0, proof), proof);
}

}  // namespace skein::core
