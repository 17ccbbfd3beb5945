// One table of deadlines instead of one timer per peer: the next one is a lookup, and nothing needs
// cancelling.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

namespace skein::core {

inline constexpr uint64_t kNever = UINT64_MAX;

// Key must be ordered; equal deadlines fire in key order, so that a run is repeatable.
template <typename Key>
class DeadlineTable {
 public:
  void Set(const Key& key, uint64_t at_us) {
    const auto [entry, added] = at_by_key_.try_emplace(key, at_us);
    if (!added) {
      if (entry->second == at_us) return;
      ordered_.erase({entry->second, key});
      entry->second = at_us;
    }
    ordered_.insert({at_us, key});
  }

  void Clear(const Key& key) {
    const auto entry = at_by_key_.find(key);
    if (entry == at_by_key_.end()) return;
    ordered_.erase({entry->second, key});
    at_by_key_.erase(entry);
  }

  void ClearAll() {
    ordered_.clear();
    at_by_key_.clear();
  }

  // When `key` is due, kNever if it is not set.
  uint64_t At(const Key& key) const {
    const auto entry = at_by_key_.find(key);
    return entry == at_by_key_.end() ? kNever : entry->second;
  }

  uint64_t Next() const { return ordered_.empty() ? kNever : ordered_.begin()->first; }

  // Removes and returns the earliest key that is due.
  std::optional<Key> PopDue(uint64_t now_us) {
    if (ordered_.empty() || ordered_.begin()->first > now_us) return std::nullopt;
    Key key = ordered_.begin()->second;
    ordered_.erase(ordered_.begin());
    at_by_key_.erase(key);
    return key;
  }

 private:
  std::map<Key, uint64_t> at_by_key_;
  std::set<std::pair<uint64_t, Key>> ordered_;
};

}  // namespace skein::core
