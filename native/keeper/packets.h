/* The control socket (protocol.h): packets in, packets out, and whether the owner is still there. Sending never
 * blocks: what the socket does not take now waits here, in order. Decides nothing about processes.
 */
#ifndef CORRAL_PACKETS_H
#define CORRAL_PACKETS_H

#include <stdbool.h>

#include "protocol.h"

union owner_packet {
  struct corral_header header;
  struct corral_start start;
  struct corral_stop stop;
};

/* Pure: are these bytes a packet that an owner may send, whole and with values that mean something? `length` is that of
 * the packet as it was sent, which may be more than fits. */
bool packet_is_valid(const union owner_packet *packet, long length);

/* Waits for the first packet. 0; -EPROTO when it is not a START we understand, or the owner has gone; or what receiving
 * it failed with. `ret_leaf` becomes the descriptor that came along, or 0. */
long packets_receive_start(struct corral_start *ret_start, int *ret_leaf);
/* Takes the next packet, if there is one that is well-formed. Others are dropped. */
bool packets_receive(union owner_packet *ret_packet);

/* Descriptor to poll, -1 once the owner has gone; and whether it should be polled for POLLOUT. */
int packets_fd(void);
bool packets_waiting(void);
/* The owner has gone: nothing more is sent. */
void packets_close(void);

/* Fills in the header and sends. `passed_fd` (or -1) goes along as SCM_RIGHTS. */
void packets_send(enum corral_packet type, void *packet, uint32_t size, int passed_fd);
/* Adds one to the batch of TERMINATED or SURVIVORS; flushing sends a batch that is not full. */
void packets_add_member(enum corral_packet type, const struct corral_member *member);
void packets_flush_members(void);
/* Hands waiting packets to the socket; call on POLLOUT. */
void packets_continue(void);

#endif
