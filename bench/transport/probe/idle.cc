// Many idle links in little memory. Lines on stdin: "links N" opens N control links of as many incarnations,
// "lanes" an ordinary lane beside each link that has none, on which one request has been answered. Each is
// answered by one line when all of them stand.
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <memory>

#include "link.h"

namespace probe {

using skein::core::Lane;

namespace {

constexpr size_t kLinksMax = 6000;

std::string ReadLine() {
  std::string line;
  char next;
  while (read(STDIN_FILENO, &next, 1) == 1 && next != '\n') line.push_back(next);
  return line;
}

}  // namespace

int RunIdle(const std::string& address, const std::string& cluster) {
  struct Held {
    skein::core::Uid uid;
    std::unique_ptr<Link> control;
    std::unique_ptr<Link> lane;
  };
  std::vector<Held> held;
  for (std::string line = ReadLine(); !line.empty(); line = ReadLine()) {
    if (line.starts_with("links ")) {
      const size_t wanted =
          std::min<size_t>(kLinksMax, held.size() + static_cast<size_t>(atol(line.c_str() + 6)));
      while (held.size() < wanted) {
        const skein::core::Uid uid = NewUid();
        held.push_back({uid, std::make_unique<Link>(address, cluster, uid), nullptr});
      }
    } else {
      for (Held& peer : held) {
        if (peer.lane != nullptr) continue;
        peer.lane = std::make_unique<Link>(address, cluster, peer.uid, Lane::kOrdinary);
        peer.lane->UseLane(Lane::kOrdinary, "echo");
      }
    }
    printf("{\"links\":%zu}\n", held.size());
    fflush(stdout);
  }
  return 0;
}

}  // namespace probe
