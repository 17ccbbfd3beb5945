// Encoding of frame heads and the cutting of a byte stream into frames.
#include "frame.h"

#include <algorithm>

#include "crc32c.h"
#include "limits.h"

namespace skein::core {
namespace {

constexpr size_t kCrcBytes = sizeof(uint32_t);

FrameView ViewOf(Bytes content) { return {Load<FrameHeader>(content.data()), content}; }

FrameReader::Status CheckLength(uint32_t length, uint32_t length_max) {
  // Before anything is kept of the frame.
  if (length > length_max) return FrameReader::Status::kTooLarge;
  if (length < kHeaderBytes) return FrameReader::Status::kTooShort;
  return FrameReader::Status::kFrame;
}

}  // namespace

FrameHead EncodeHead(FrameKind kind, uint8_t flags, uint32_t sequence, Bytes body) {
  FrameHead head;
  FrameHeader header{};
  header.kind = kind;
  header.flags = flags;
  header.lane = Lane::kControl;
  header.sequence = sequence;
  Store(head.data(), static_cast<uint32_t>(kHeaderBytes + body.size()));
  Store(head.data() + kLengthBytes, header);
  const Bytes checked(head.data() + kLengthBytes + kCrcBytes, kHeaderBytes - kCrcBytes);
  Store(head.data() + kLengthBytes, Crc32c(body, Crc32c(checked)));
  return head;
}

bool FrameView::CrcMatches() const { return Crc32c(content.subspan(kCrcBytes)) == header.crc; }

bool IsKnownKind(FrameKind kind) { return kind >= FrameKind::kHello && kind <= FrameKind::kGoodbye; }

void FrameReader::Feed(Bytes input) { input_ = input; }

FrameReader::Status FrameReader::Next(uint32_t length_max, FrameView* frame) {
  if (partial_delivered_) ReleasePartial();
  if (!partial_.empty()) return NextFromPartial(length_max, frame);
  if (input_.size() >= kLengthBytes) {
    const auto length = Load<uint32_t>(input_.data());
    const Status status = CheckLength(length, length_max);
    if (status != Status::kFrame) return status;
    if (input_.size() - kLengthBytes >= length) {
      *frame = ViewOf(input_.subspan(kLengthBytes, length));
      input_ = input_.subspan(kLengthBytes + length);
      return Status::kFrame;
    }
  }
  // The rest of the input is less than a frame: all that is ever copied of small ones.
  partial_.assign(input_.begin(), input_.end());
  input_ = {};
  return Status::kNeedMore;
}

FrameReader::Status FrameReader::NextFromPartial(uint32_t length_max, FrameView* frame) {
  if (!FillPartial(kLengthBytes)) return Status::kNeedMore;
  const auto length = Load<uint32_t>(partial_.data());
  const Status status = CheckLength(length, length_max);
  if (status != Status::kFrame) return status;
  if (!FillPartial(size_t{kLengthBytes} + length)) return Status::kNeedMore;
  *frame = ViewOf(Bytes(partial_).subspan(kLengthBytes));
  partial_delivered_ = true;
  return Status::kFrame;
}

bool FrameReader::FillPartial(size_t size) {
  if (partial_.size() >= size) return true;
  // No reservation by the claimed length: memory follows what has arrived.
  const size_t taken = std::min(size - partial_.size(), input_.size());
  partial_.insert(partial_.end(), input_.begin(), input_.begin() + static_cast<ptrdiff_t>(taken));
  input_ = input_.subspan(taken);
  return partial_.size() >= size;
}

void FrameReader::ReleasePartial() {
  partial_delivered_ = false;
  partial_.clear();
  if (partial_.capacity() > limits::kPartialFrameKeptBytesMax) std::vector<uint8_t>().swap(partial_);
}

}  // namespace skein::core
