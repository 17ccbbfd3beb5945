// raw server [counting] | raw client ADDRESS rtt|window|oneway BYTES WINDOW WARM_SECONDS SECONDS
// raw idle ADDRESS CONNECTIONS | raw dead REFUSING BLACKHOLED SILENT
#include <stdio.h>
#include <stdlib.h>

#include "frames.h"

int main(int count, char** arguments) {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  if (!words.empty() && words[0] == "server")
    return bench::RunServer(words.size() > 1 && words[1] == "counting");
  if (words.size() == 3 && words[0] == "idle")
    return bench::RunIdle(words[1], static_cast<uint32_t>(atoi(words[2].c_str())));
  if (words.size() == 7 && words[0] == "client") {
    return bench::RunClient(words[1], words[2], static_cast<size_t>(atol(words[3].c_str())),
                            static_cast<uint32_t>(atoi(words[4].c_str())), atof(words[5].c_str()),
                            atof(words[6].c_str()));
  }
  if (words.size() == 4 && words[0] == "dead") {
    return bench::RunDead(static_cast<uint32_t>(atoi(words[1].c_str())),
                          static_cast<uint32_t>(atoi(words[2].c_str())),
                          static_cast<uint32_t>(atoi(words[3].c_str())));
  }
  fprintf(stderr, "raw: server, client, idle or dead, with their arguments\n");
  return 2;
}
