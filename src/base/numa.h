// numa.h: machines whose memory is in several nodes, each near some of the cores.
#pragma once
#include <string>
#include <vector>

// The numbers of a list as Linux writes it: "0-2,5". Empty if it is no such list.
std::vector<int> parse_number_list(const std::string& list);

// Nodes that have memory; {0} where the system does not say.
std::vector<int> memory_nodes();

// From here on, pages that this thread, or one made by it later, is the first to touch come from these nodes in turn;
// so do pages that it brings into the page cache. False if the system refuses.
bool interleave_memory(const std::vector<int>& nodes);
