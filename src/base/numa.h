// numa.h: machines whose memory is in several nodes, each near some of the cores.
#pragma once
#include <string>
#include <vector>

// Numbers in a list as Linux writes them: "0-2,5"; none if it is not one.
std::vector<int> parse_number_list(const std::string& list);

// Nodes that have memory; {0} where the system does not say.
std::vector<int> memory_nodes();

// Memory that this thread, or one made by it later, is the first to touch comes from these nodes in turn, page by page;
// so does what it brings into the page cache. False if the system refuses.
bool interleave_memory(const std::vector<int>& nodes);
